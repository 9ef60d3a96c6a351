"""The progress bar: loss, accuracy so far, learning rate and images/s."""

import sys
from typing import Any, cast

import lightning as L
from lightning.pytorch.callbacks import TQDMProgressBar
from torch import Tensor

from src.config.console import shares_terminal
from src.engine.classifier import StageMetrics


class TrainingBar(TQDMProgressBar):
    """A tqdm bar on a terminal or in a notebook; silent in a file, and where jobs share a terminal.

    Its numbers are fetched from the device only when the bar is redrawn.
    """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if shares_terminal() or not (sys.stdout.isatty() or "ipykernel" in sys.modules):
            self.disable()

    def on_train_epoch_start(self, trainer: L.Trainer, *args: Any) -> None:
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        # Read this process's own sums: compute() would wait for the other processes.
        metrics = cast(StageMetrics, pl_module.train_metrics)
        loss, counts = (cast(dict[str, Tensor], m.metric_state) for m in (metrics.loss, metrics.acc))
        num_images = int((counts["tp"] + counts["fn"]).sum())
        if not num_images:
            return {}
        elapsed = self.train_progress_bar.format_dict["elapsed"] or 1e-9
        return {
            "loss": f"{float(loss['mean_value'] / loss['weight']):.3f}",
            "acc": f"{int(counts['tp'].sum()) / num_images:.1%}",
            "lr": f"{trainer.optimizers[0].param_groups[0]['lr']:.2g}",
            "img/s": f"{num_images * trainer.world_size / elapsed:.0f}",
        }
