"""What TensorBoard, Weights & Biases and MLflow each need beside Lightning's own interface.

A logger of another kind gets metrics and no pictures; to show them there, register one function here.
"""

from functools import singledispatch
from io import BytesIO

from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary

from src.drawing.sheet import Png
from src.lightning_private import event_file


@singledispatch
def log_picture(logger: Logger, tag: str, picture: Png, step: int) -> None:
    """Show a picture as `tag` at an optimizer step."""


@log_picture.register
def _(logger: TensorBoardLogger, tag: str, picture: Png, step: int) -> None:
    # `SummaryWriter.add_image` would unpack the picture and pack it once more
    image = Summary.Image(
        height=picture.height, width=picture.width, colorspace=3, encoded_image_string=picture.content
    )
    summary = Summary(value=[Summary.Value(tag=tag, image=image)])
    event_file(logger).add_summary(summary, step)


@log_picture.register
def _(logger: WandbLogger, tag: str, picture: Png, step: int) -> None:
    logger.log_image(tag, [Image.open(BytesIO(picture.content))], step)


@log_picture.register
def _(logger: MLFlowLogger, tag: str, picture: Png, step: int) -> None:
    image = Image.open(BytesIO(picture.content))
    logger.experiment.log_image(logger.run_id, image, key=tag, step=step)


@singledispatch
def close(logger: Logger, *, failed: bool) -> None:
    """End what the logger began for a run; most loggers need nothing."""


@close.register
def _(_: WandbLogger, *, failed: bool) -> None:
    # else the next job of a sweep would write into this run
    import wandb

    if wandb.run is not None:
        wandb.run.finish(exit_code=int(failed))
