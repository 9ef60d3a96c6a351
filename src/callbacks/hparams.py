"""What was chosen, for the loggers: TensorBoard's hparams page has what came of it, too."""

from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger

from src.runs.summary import Summary

_METRICS = {
    "best/val_acc": "val/acc",
    "best/test_acc": "test/acc",
    "best/test_loss": "test/loss",
    "best/train_seconds": "train_seconds",
}


class HparamsTab(L.Callback):
    """Write one row: for TensorBoard after the test, with the results; for other loggers at the start.

    The row is short: TensorBoard does not draw the table of a long one.

    Args:
        summary: facts of the run; its `options` are the chosen option of each group.
        config: the composed configuration as plain values.
    """

    def __init__(self, summary: Summary, config: Mapping[str, Any]) -> None:
        self.summary, self.config = summary, config

    def row(self) -> dict[str, str | int | float]:
        return hparams_row(self.config, self.summary.facts)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        row = {name.rpartition(" ")[2]: value for name, value in self.row().items()}
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(row)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        facts = self.summary.facts
        metrics = {name: facts[key] for name, key in _METRICS.items() if facts.get(key) is not None}
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(self.row(), metrics, step=trainer.global_step)


def hparams_row(config: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, str | int | float]:
    """Options by name, and the values that people vary; what a configuration lacks is left out."""
    options = facts.get("options", {})
    # TensorBoard sorts by name and at first shows five columns: these
    row = {
        "1 norm": options.get("norm"),
        "2 optimizer": options.get("optimizer"),
        "3 scheduler": options.get("scheduler"),
        "4 lr": config["optimizer"].get("lr"),
        "5 seed": config.get("seed"),
        "model": options.get("model"),
        "data": options.get("data"),
        "augment": options.get("augment"),
        "weight_decay": config["optimizer"].get("weight_decay"),
        "batch_size": config["data"].get("batch_size"),
        "width": config["model"].get("width"),
        "epochs": config["trainer"].get("max_epochs"),
        "num_params": facts.get("num_params"),
    }
    return {key: value for key, value in row.items() if value is not None}
