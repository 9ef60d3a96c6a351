"""The progress bar: loss, accuracy so far, learning rate and images/s."""

import sys
import time
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import TQDMProgressBar

from src.config.console import shares_terminal
from src.engine.stage_metrics import StageMetrics
from src.lightning_private import batches_done, resumes_in_epoch

_REDRAW_SECONDS = 0.5  # at least, between two drawings


class TrainingBar(TQDMProgressBar):
    """A tqdm bar on a terminal or in a notebook; silent in a file, and where jobs share a terminal.

    Its numbers are fetched from the device, which waits for it, only when the bar is redrawn.
    """

    drawn = 0.0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if shares_terminal() or not (sys.stdout.isatty() or "ipykernel" in sys.modules):
            self.disable()

    def on_train_start(self, *args: Any) -> None:
        super().on_train_start(*args)
        trainer: L.Trainer = args[0]
        if resumes_in_epoch(trainer):  # no epoch starts: this one continues
            self.on_train_epoch_start(*args)
            self.train_progress_bar.n = batches_done(trainer)

    def on_train_epoch_start(self, trainer: L.Trainer, *args: Any) -> None:
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.is_disabled:
            return
        now, is_due = time.monotonic(), (batch_idx + 1) % self.refresh_rate == 0
        if trainer.is_last_batch or (is_due and now - self.drawn >= _REDRAW_SECONDS):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
            self.drawn = now

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        metrics = cast(StageMetrics, pl_module.train_metrics)
        if metrics.is_empty:
            return {}
        # This process's own sums: compute() would wait for the other processes
        loss, correct, count = torch.stack(
            [metrics.loss.total, metrics.acc.total, metrics.acc.num_images]
        ).tolist()
        elapsed = self.train_progress_bar.format_dict["elapsed"] or 1e-9
        return {
            "loss": f"{loss / count:.3f}",
            "acc": f"{correct / count:.1%}",
            "lr": f"{trainer.optimizers[0].param_groups[0]['lr']:.2g}",
            "img/s": f"{count * trainer.world_size / elapsed:.0f}",
        }
