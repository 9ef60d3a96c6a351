"""A callback that ends a run early, as an interruption between epochs would."""

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
