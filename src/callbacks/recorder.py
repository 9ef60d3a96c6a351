"""Keeps a run's `summary.json` up to date."""

from typing import Any, cast

import lightning as L
import torch

from src.callbacks.board import board_step
from src.engine.classifier import Classifier
from src.lightning_private import complete_epoch
from src.metrics.throughput import Stopwatch
from src.models.cost import count_macs, passes_pflop
from src.runs.summary import Summary

TRAIN = ("train/loss", "train/acc", "train/images_per_second", "train/seconds", "train/pflop")


class Recorder(L.Callback):
    """Write epochs, metrics and speed to a `Summary` after every epoch and after the test.

    `val/acc` and `val/loss` are those of the best epoch by val/acc, whose weights are tested. Time
    and images count training alone, and continue through a resume.

    Args:
        summary: of the run.
        goes_on: the run continues in its own folder as if nothing had been; one that had stopped early stays
            stopped. (One that takes another run's checkpoint wants more epochs.)
    """

    def __init__(self, summary: Summary, *, goes_on: bool = False) -> None:
        self.summary, self.goes_on = summary, goes_on
        self.total, self.epoch = Stopwatch(), Stopwatch()
        self.best: dict[str, float] = {}
        self.macs: dict[int, int] = {}  # of an image, by its size

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.epoch.start()  # of an epoch that was cut off and continues; one that begins has its own

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.epoch = Stopwatch()
        self.epoch.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.epoch.images += len(batch[1]) * trainer.world_size

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.stop(trainer)

    def stop(self, trainer: L.Trainer) -> None:
        """Stop the epoch's time, after the last step that a GPU was given."""
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize(trainer.strategy.root_device)
        self.epoch.stop()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.stop(trainer)
        self.total.images += self.epoch.images
        self.total.seconds += self.epoch.seconds
        speed = self.epoch.images_per_second
        pl_module.log("train/images_per_second", speed, sync_dist=True, logger=False)
        # sync_dist does nothing beside rank_zero_only, but keeps Lightning from recommending it
        pl_module.log("train/seconds", self.total.seconds, sync_dist=True, rank_zero_only=True, logger=False)
        pflop = self.pflop(cast(Classifier, pl_module)) * trainer.world_size
        pl_module.log("train/pflop", pflop, sync_dist=True, rank_zero_only=True, logger=False)
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
        row = {key: metrics[key] for key in TRAIN if key in metrics} | {"epoch": trainer.current_epoch}
        # Lightning would write them after the checkpoint: a kill between the two would lose them
        for logger in trainer.loggers:
            logger.log_metrics(row, board_step(trainer))
            logger.save()
        if metrics.get("val/acc", -1.0) > self.best.get("val/acc", -1.0):
            self.best = {key: metrics[key] for key in ("val/acc", "val/loss")}
            self.best["best_epoch"] = trainer.current_epoch + 1
        self.summary.update(
            epochs=trainer.current_epoch + 1,
            train_images=self.total.images,
            train_seconds=round(self.total.seconds, 3),
            images_per_second=round(self.total.images_per_second, 1),
            pflop=pflop,
            **{key: metrics[key] for key in ("train/loss", "train/acc") if key in metrics},
            **self.best,
        )

    def pflop(self, module: Classifier) -> float:
        """Compute of this process's training so far, in 10^15 floating-point operations."""
        for size in module.passes.keys() - self.macs.keys():
            self.macs[size] = count_macs(module.net, size)
        return passes_pflop(module.passes, self.macs)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        found = {key: float(value) for key, value in trainer.callback_metrics.items()}
        self.summary.update(**{key: value for key, value in found.items() if key.startswith("test/")})

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.goes_on:  # and had stopped early
            complete_epoch(trainer)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["stopped_early"] = trainer.should_stop

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self.goes_on and trainer.training:
            trainer.should_stop = checkpoint.get("stopped_early", False)

    def state_dict(self) -> dict[str, Any]:
        return {
            "images": self.total.images,
            "seconds": self.total.seconds,
            "epoch_images": self.epoch.images,
            "epoch_seconds": self.epoch.elapsed,
            "best": self.best,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.total = Stopwatch(state_dict["images"], state_dict["seconds"])
        self.epoch = Stopwatch(state_dict.get("epoch_images", 0), state_dict.get("epoch_seconds", 0.0))
        self.best = state_dict["best"]
