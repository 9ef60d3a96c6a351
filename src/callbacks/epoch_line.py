"""One line an epoch, on the terminal and in train.log."""

import logging
from collections.abc import Mapping

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

log = logging.getLogger(__name__)


class EpochLine(L.Callback):
    """`epoch 12/40  train 0.81 71.2%  val 0.53 82.9% (4145/5000)  lr 0.0061  393 img/s`."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
        line = epoch_line(
            metrics,
            epoch=trainer.current_epoch + 1,
            max_epochs=trainer.max_epochs or 0,
            num_val=len(trainer.datamodule.val_indices),  # type: ignore[attr-defined]
            lr=trainer.optimizers[0].param_groups[0]["lr"],
        )
        rank_zero_only(log.info)(line)


def epoch_line(metrics: Mapping[str, float], *, epoch: int, max_epochs: int, num_val: int, lr: float) -> str:
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
    return "  ".join(parts)
