"""Ends a trial of a hyperparameter search that does worse than those before it."""

import lightning as L
from optuna import Trial

from src.runs.summary import Stopped


class Pruning(L.Callback):
    """Report val/acc after each epoch to an Optuna trial; end the run when the study's pruner says so.

    The epoch is finished first, so that metrics and checkpoints are whole; a run whose epochs are all
    done is not pruned.

    Raises:
        Stopped: at the end of the training, if the trial was pruned.
    """

    def __init__(self, trial: Trial) -> None:
        self.trial, self.reason = trial, ""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        epoch, accuracy = trainer.current_epoch + 1, float(trainer.callback_metrics["val/acc"])
        self.trial.report(accuracy, step=epoch)
        if epoch != trainer.max_epochs and self.trial.should_prune():
            self.reason = (
                f"pruned: below the median of other trials after epoch {epoch} (val/acc {accuracy:.1%})"
            )
            trainer.should_stop = True

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.reason:
            raise Stopped(self.reason)
