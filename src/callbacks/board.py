"""Where a callback writes for TensorBoard."""

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from torch.utils.tensorboard import SummaryWriter


def boards(trainer: L.Trainer) -> list[SummaryWriter]:
    """The TensorBoard writers of a run, if it has any."""
    return [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]


def board_step(trainer: L.Trainer) -> int:
    """The step at which Lightning logs metrics at this moment: pictures belong beside them."""
    fitting = trainer.state.fn == TrainerFn.FITTING
    return max(trainer.global_step - fitting, 0)
