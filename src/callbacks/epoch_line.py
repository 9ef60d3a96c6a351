"""What a training tells on the terminal and in train.log: how long it will take, and a line an epoch."""

import logging
import math
import time
from collections.abc import Mapping

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from src.data.resolution import work_done
from src.models.cost import count_macs
from src.runs.table import duration

log = logging.getLogger(__name__)

WARM_UP, FEWEST = 2, 3  # steps that are not timed, and steps that are, at least
SECONDS = 5.0  # of timed steps, before the time that is left is told
WORTH_A_LINE = 60.0  # seconds that are left
CPU_SPEED = 1e11  # FLOP/s in training that a laptop's processor has, in float32
LONG = 3 * 3600.0  # seconds, on such a processor


class EpochLine(L.Callback):
    """`epoch 12/40  train 0.81 71.2%  val 0.53 82.9% (4145/5000)  lr 0.0061  393 img/s  12.4 min left`.

    After the first steps, one line says how long the training will take. A network that would take a CPU many
    hours is told of before the first step.
    """

    def __init__(self) -> None:
        self.began: tuple[float, float] | None = None  # time and work done after the warm-up
        self.told = False
        self.steps = 0  # of this process
        self.lr = math.nan  # of the last step; the schedule has moved on when an epoch ends

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if pl_module.device.type != "cpu":
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        steps = int(pl_module.total_steps) - trainer.global_step  # type: ignore[arg-type]
        images = steps * trainer.accumulate_grad_batches * data.batch_size
        operations = 6 * count_macs(pl_module.net, data.image_size) * images  # type: ignore[arg-type]
        if operations / CPU_SPEED > LONG:
            hours = duration(operations / CPU_SPEED)
            rank_zero_only(log.warning)(
                f"this training takes {operations / 1e15:.3g} PFLOP, about {hours} on a laptop's CPU (0.1 "
                f"TFLOP/s). size=cpu takes minutes; python -m src.estimate measures it here."
            )

    def on_train_batch_start(self, trainer: L.Trainer, *args: object) -> None:
        self.lr = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: object) -> None:
        self.steps += 1
        if self.steps <= WARM_UP:
            self.began = time.monotonic(), progress(trainer, pl_module)
            return
        timed = time.monotonic() - self.began[0] if self.began else 0.0
        if not self.told and self.steps >= WARM_UP + FEWEST and timed >= SECONDS:
            self.told = True
            left = self.seconds_left(trainer, pl_module)
            if left > WORTH_A_LINE:
                epochs = (trainer.max_epochs or 0) - trainer.current_epoch
                rank_zero_only(log.info)(f"about {duration(left)} for {epochs} epochs")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.told = True
        data = trainer.datamodule  # type: ignore[attr-defined]
        seen = sum(trainer.num_val_batches) * data.batch_size * trainer.world_size
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
        if (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1):
            # an earlier epoch's, which Lightning keeps
            metrics = {key: value for key, value in metrics.items() if not key.startswith("val/")}
        line = epoch_line(
            metrics,
            epoch=trainer.current_epoch + 1,
            max_epochs=trainer.max_epochs or 0,
            num_val=min(len(data.val_indices), seen),
            lr=self.lr,
            seconds_left=self.seconds_left(trainer, pl_module),
        )
        rank_zero_only(log.info)(line)

    def seconds_left(self, trainer: L.Trainer, pl_module: L.LightningModule) -> float:
        """From the speed so far, validation included; 0 at the end, or where nothing was timed."""
        now = progress(trainer, pl_module)
        if self.began is None or now <= self.began[1]:
            return 0.0
        speed = (now - self.began[1]) / (time.monotonic() - self.began[0])
        return (progress(trainer, pl_module, at=1.0) - now) / speed


def progress(trainer: L.Trainer, pl_module: L.LightningModule, at: float | None = None) -> float:
    """Work done, in units of all training images at their full size; `at` a share of the steps, or now."""
    done = trainer.global_step / max(1, int(pl_module.total_steps)) if at is None else at  # type: ignore[arg-type]
    stages = getattr(pl_module.resize, "stages", ())
    return work_done(stages, done, trainer.datamodule.image_size)  # type: ignore[attr-defined]


def epoch_line(
    metrics: Mapping[str, float],
    *,
    epoch: int,
    max_epochs: int,
    num_val: int,
    lr: float,
    seconds_left: float = 0.0,
) -> str:
    """The line for one epoch; parts whose metrics are missing are left out."""
    parts = [f"epoch {epoch}/{max_epochs}"]
    for stage in ("train", "val"):
        if f"{stage}/acc" in metrics:
            parts.append(f"{stage} {metrics[f'{stage}/loss']:.3f} {metrics[f'{stage}/acc']:.1%}")
    if "val/acc" in metrics:
        parts[-1] += f" ({round(metrics['val/acc'] * num_val)}/{num_val})"
    parts.append(f"lr {lr:.4g}")
    if "train/images_per_second" in metrics:
        parts.append(f"{metrics['train/images_per_second']:.0f} img/s")
    if seconds_left > 0:
        parts.append(f"{duration(seconds_left)} left")
    return "  ".join(parts)
