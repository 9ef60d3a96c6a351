"""Guards that teach: what goes wrong in a training, and the override that usually helps."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from src.callbacks.update_monitor import ALL, Row, UpdateMonitor
from src.metrics.health import dead_shares, is_chance, is_lost_in_validation, steadily

log = logging.getLogger(__name__)

LARGE, SMALL = 1e-1, 1e-6  # ||dw|| / ||w||: a step that replaces weights, and one that leaves them
_SATURATED = 0.9  # share of a gradient's values that clipping changes
LONG = 5  # of the update monitor's measurements, one after the other
_ENOUGH = 10  # steps after which a network is expected to know something
FEW = 16  # images
_FAST = 0.5  # momentum of BatchNorm's running statistics in short runs
_NEAR_TOP = 0.1  # of the schedule's highest rate: at its ends, steps are meant to be small


class Guards(L.Callback):
    """Hints in the terminal and the log, each once a run; a loss that is not finite stops the run.

    Those about updates and clipping come from the `UpdateMonitor`'s measurements, where the run has one.

    Args:
        every_n_steps: how often a loss is noted, and the one noted before looked at: so no look waits for a
            GPU to finish what it has just been given. An epoch's mean loss is looked at in its end, too.
        dead_share: share of a ReLU's channels that never fire on a batch, from which one is told.
    """

    def __init__(self, *, every_n_steps: int = 10, dead_share: float = 0.5) -> None:
        self.every_n_steps, self.dead_share = every_n_steps, dead_share
        self.told: set[str] = set()
        self.images: Tensor | None = None
        self.noted: _Noted | None = None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.images is None or len(batch[0]) >= len(self.images):  # an epoch's last batch may be a rest
            self.images = batch[0]
        if batch_idx % self.every_n_steps == 0:
            if self.noted:
                _must_be_finite(self.noted.loss(), trainer, self.noted.step)
            self.noted = _Noted(outputs["loss"], trainer.global_step)
            for monitor in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(monitor, UpdateMonitor):
                    # Muon's, and meant to be large: rescaling keeps the weights from being lost in them
                    rescaled = bool(trainer.optimizers[0].defaults.get("normalize"))
                    self.look_at_updates(
                        monitor.rows, _asked_for(trainer), large=math.inf if rescaled else LARGE
                    )

    def look_at_updates(self, rows: Mapping[str, list[Row]], top: float, *, large: float = LARGE) -> None:
        """Tell of steps that stay too large or too small, and of clipping that takes over.

        Args:
            rows: measurements by layer, and of `ALL` parameters.
            top: the schedule's highest learning rate.
            large: a relative update from which one is told.
        """
        for name, found in rows.items():
            updates = [row.update for row in found[-LONG:] if row.lr >= _NEAR_TOP * top]
            if name != ALL and steadily(updates, large, math.inf, LONG):
                self.tell(
                    "large",
                    f"hint: a step changes {name} by {updates[-1]:.0%} of its length, and has for {LONG} "
                    f"measurements: it forgets what it learned. optimizer.lr={top / 10:g} usually helps.",
                )
            if name != ALL and steadily(updates, -1.0, SMALL, LONG):
                self.tell(
                    "small",
                    f"hint: a step changes {name} by {updates[-1]:.1g} of its length, and has for {LONG} "
                    f"measurements: it hardly learns. optimizer.lr={top * 10:g} usually helps.",
                )
        if steadily([row.clipped for row in rows.get(ALL, [])[-LONG:]], _SATURATED, math.inf, LONG):
            share = rows[ALL][-1].clipped
            self.tell(
                "clipped",
                f"hint: clipping changes {share:.0%} of the gradient's values, and has for {LONG} "
                f"measurements: their sizes are lost. A larger trainer.gradient_clip_val keeps them.",
            )

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Before checkpoints are saved: weights of a broken epoch must not replace good ones."""
        metrics, self.noted = trainer.callback_metrics, None
        _must_be_finite(float(metrics.get("train/loss", torch.tensor(0.0))), trainer, trainer.global_step)
        num_classes = trainer.datamodule.num_classes  # type: ignore[attr-defined]
        accuracy = float(metrics.get("train/acc", torch.tensor(1.0)))
        if trainer.global_step >= _ENOUGH and is_chance(accuracy, num_classes):
            self.tell(
                "chance",
                f"hint: after epoch {trainer.current_epoch + 1} training accuracy is {accuracy:.1%}, no "
                f"better than guessing among {num_classes} classes. optimizer.lr={_asked_for(trainer):g} is "
                f"too large if the loss jumps about, too small if it hardly moves: try a tenth, or ten times "
                f"as much.",
            )
        val_loss, train_loss = (float(metrics.get(f"{part}/loss", math.nan)) for part in ("val", "train"))
        momenta = [m.momentum for m in pl_module.modules() if isinstance(m, nn.BatchNorm2d) and m.momentum]
        if momenta and is_lost_in_validation(val_loss, train_loss, num_classes):
            faster = f"norm.momentum={_FAST:g} (now {momenta[0]:g}), " if momenta[0] < _FAST else ""
            self.tell(
                "statistics",
                f"hint: validation loss is {val_loss:.1f}, training loss {train_loss:.1f}: the running "
                f"statistics of BatchNorm lag behind the weights. Try {faster}a smaller optimizer.lr "
                f"(now {_asked_for(trainer):g}) or more steps in an epoch.",
            )
        if self.images is not None and trainer.is_global_zero:
            self.look_for_dead_units(pl_module.net, self.images)  # type: ignore[arg-type]
        self.images = None

    def look_for_dead_units(self, net: nn.Module, images: Tensor) -> None:
        """What is zero on a whole batch is zero on its first images: mostly it is enough to look at them."""
        if "dead" in self.told or _most_dead(net, images[:FEW])[1] <= self.dead_share:
            return
        layer, share = _most_dead(net, images)
        if share > self.dead_share:
            self.tell(
                "dead",
                f"hint: {share:.0%} of the channels after {layer} are zero on a whole batch: dead units "
                f"learn nothing. A smaller learning rate, a warm-up (scheduler=onecycle) or norm=bn usually "
                f"helps.",
            )

    @rank_zero_only
    def tell(self, kind: str, words: str) -> None:
        if kind not in self.told:
            log.info(words)
        self.told.add(kind)


def _most_dead(net: nn.Module, images: Tensor) -> tuple[str, float]:
    """The ReLU with the greatest share of channels that are 0 on all images, and that share."""
    return max(dead_shares(net, images).items(), key=lambda item: item[1], default=("", -math.inf))


class _Noted:
    """A batch's loss on its way from the device, and the number of steps until it.

    `float` of a tensor on a GPU waits for everything that the GPU has been given since, not for it alone.
    """

    def __init__(self, loss: Tensor, step: int) -> None:
        self.value, self.step = loss.detach().to("cpu", non_blocking=True), step
        self.arrived = torch.cuda.Event() if loss.is_cuda else None  # type: ignore[no-untyped-call]
        if self.arrived:
            self.arrived.record()

    def loss(self) -> float:
        """Its value, as soon as it has arrived."""
        if self.arrived:
            self.arrived.synchronize()
        return float(self.value)


def _must_be_finite(loss: float, trainer: L.Trainer, step: int) -> None:
    """Stop the run where its loss, that of `step` or of the epoch that ends there, is no number.

    Raises:
        ValueError: it is not finite.
    """
    if not math.isfinite(loss):
        raise ValueError(
            f"training has diverged: the loss is {loss} in epoch {trainer.current_epoch + 1}, step "
            f"{step}. Try a tenth of optimizer.lr={_asked_for(trainer):g}, a warm-up "
            f"(scheduler=onecycle) or clipping (trainer.gradient_clip_val=0.1). Checkpoints of the epochs "
            f"before are kept."
        )


def _asked_for(trainer: L.Trainer) -> float:
    """The learning rate of the configuration: what a schedule starts from, or rises to."""
    optimizer = trainer.optimizers[0]
    return float(optimizer.param_groups[0].get("max_lr", optimizer.defaults["lr"]))
