"""Guards that teach: what goes wrong in a training, and the override that usually helps."""

import logging
import math
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from src.metrics.health import dead_shares, is_chance

log = logging.getLogger(__name__)


class Guards(L.Callback):
    """Hints in the terminal and the log, each once a run; a loss that is not finite stops the run.

    Args:
        every_n_steps: how often the loss is looked at; each look waits for the device.
        dead_share: share of a ReLU's channels that never fire on a batch, from which one is told.
    """

    def __init__(self, *, every_n_steps: int = 10, dead_share: float = 0.5) -> None:
        self.every_n_steps, self.dead_share = every_n_steps, dead_share
        self.told: set[str] = set()
        self.images: Tensor | None = None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 0:
            self.images = batch[0]
        if batch_idx % self.every_n_steps == 0:
            must_be_finite(float(outputs["loss"]), trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Before checkpoints are saved: weights of a broken epoch must not replace good ones."""
        metrics = trainer.callback_metrics
        must_be_finite(float(metrics.get("train/loss", torch.tensor(0.0))), trainer)
        num_classes = trainer.datamodule.num_classes  # type: ignore[attr-defined]
        accuracy = float(metrics.get("train/acc", torch.tensor(1.0)))
        if is_chance(accuracy, num_classes):
            self.tell(
                "chance",
                f"hint: after epoch {trainer.current_epoch + 1} training accuracy is {accuracy:.1%}, no "
                f"better than guessing among {num_classes} classes. optimizer.lr={asked_for(trainer):g} is "
                f"too large if the loss jumps about, too small if it hardly moves: try a tenth, or ten times "
                f"as much.",
            )
        if self.images is not None and trainer.is_global_zero:
            self.look_for_dead_units(pl_module.net, self.images)  # type: ignore[arg-type]
        self.images = None

    def look_for_dead_units(self, net: nn.Module, images: Tensor) -> None:
        shares = dead_shares(net, images)
        worst = max(shares, key=lambda name: shares[name], default=None)
        if worst is not None and shares[worst] > self.dead_share:
            self.tell(
                "dead",
                f"hint: {shares[worst]:.0%} of the channels behind {worst} are zero on a whole batch: dead "
                f"units learn nothing. A smaller learning rate, a warm-up (scheduler=onecycle) or norm=bn "
                f"usually helps.",
            )

    @rank_zero_only
    def tell(self, kind: str, words: str) -> None:
        if kind not in self.told:
            log.info(words)
        self.told.add(kind)


def must_be_finite(loss: float, trainer: L.Trainer) -> None:
    """Stop the run where its loss is no number.

    Raises:
        ValueError: it is not finite.
    """
    if not math.isfinite(loss):
        raise ValueError(
            f"training has diverged: the loss is {loss} in epoch {trainer.current_epoch + 1}, step "
            f"{trainer.global_step}. Try a tenth of optimizer.lr={asked_for(trainer):g}, a warm-up "
            f"(scheduler=onecycle) or clipping (trainer.gradient_clip_val=0.1). Checkpoints of the epochs "
            f"before are kept."
        )


def asked_for(trainer: L.Trainer) -> float:
    """The learning rate of the configuration: what a schedule starts from, or rises to."""
    optimizer = trainer.optimizers[0]
    return float(optimizer.param_groups[0].get("max_lr", optimizer.defaults["lr"]))
