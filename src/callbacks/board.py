"""Where a callback writes for TensorBoard."""

from collections.abc import Sequence

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from src.drawing.sheet import Png


def boards(trainer: L.Trainer) -> list[SummaryWriter]:
    """The TensorBoard writers of a run, if it has any."""
    return [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]


def board_step(trainer: L.Trainer) -> int:
    """The step at which Lightning logs metrics at this moment: pictures belong beside them."""
    fitting = trainer.state.fn == TrainerFn.FITTING
    return max(trainer.global_step - fitting, 0)


def add_picture(writers: Sequence[SummaryWriter], tag: str, picture: Png, step: int) -> None:
    """Show a picture in TensorBoard; the writers' own `add_image` would unpack and pack it once more."""
    image = Summary.Image(
        height=picture.height, width=picture.width, colorspace=3, encoded_image_string=picture.content
    )
    for writer in writers:
        summary = Summary(value=[Summary.Value(tag=tag, image=image)])
        file = writer._get_file_writer()  # type: ignore[no-untyped-call]  # opens one, behind fit a new one
        file.add_summary(summary, step)
