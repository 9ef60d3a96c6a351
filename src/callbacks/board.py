"""Where a callback writes what it shows."""

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from torch.utils.tensorboard import SummaryWriter

from src.drawing.sheet import Png
from src.engine.loggers import log_picture


def boards(trainer: L.Trainer) -> list[SummaryWriter]:
    """The TensorBoard writers of a run, if it has any: for text, histograms and the projector."""
    return [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]


def board_step(trainer: L.Trainer) -> int:
    """The step at which Lightning logs metrics at this moment: pictures belong beside them."""
    fitting = trainer.state.fn == TrainerFn.FITTING
    return max(trainer.global_step - fitting, 0)


def add_picture(trainer: L.Trainer, tag: str, picture: Png) -> None:
    """Show a picture wherever the run logs to; call it in the first process alone."""
    for logger in trainer.loggers:
        log_picture(logger, tag, picture, board_step(trainer))
