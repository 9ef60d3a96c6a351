"""A callback that ends a run early, as an interruption between epochs would."""

import shutil
from pathlib import Path

import lightning as L


class StopAfter(L.Callback):
    def __init__(self, num_epochs: int) -> None:
        self.num_epochs = num_epochs

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch + 1 >= self.num_epochs


class BreakInSecondEpoch(L.Callback):
    """Make a weight NaN after a good first epoch."""

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == 1:
            next(pl_module.parameters()).data.fill_(float("nan"))


class CopyFolder(L.Callback):
    """Copy the run's folder as it lies on the disk after a step: what a kill at that moment would leave."""

    def __init__(self, folder: str, to: str, step: int) -> None:
        self.folder, self.to, self.step = folder, to, step

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        if trainer.global_step == self.step and not Path(self.to).exists():  # several batches may be a step
            shutil.copytree(self.folder, self.to)
