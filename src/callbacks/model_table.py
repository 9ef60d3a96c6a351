"""The network at a glance: parts, shapes, parameters, MACs."""

import logging
from collections.abc import Sequence

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from src.callbacks.board import boards
from src.metrics.cost import LayerCost, layer_costs

log = logging.getLogger(__name__)


class ModelTable(L.Callback):
    """Print the network's parts when training starts, and keep them as text in TensorBoard."""

    @rank_zero_only
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        image_size = trainer.datamodule.image_size  # type: ignore[attr-defined]
        table = model_table(layer_costs(pl_module.net, image_size))  # type: ignore[arg-type]
        log.info("%s\n", table)
        for writer in boards(trainer):
            writer.add_text("model", f"```\n{table}\n```", trainer.global_step)


def model_table(costs: Sequence[LayerCost]) -> str:
    """One line a part, and their sum."""
    lines = [f"{'layer':<10} {'output':>14} {'parameters':>12} {'MACs an image':>15}"]
    for name, shape, params, macs in costs:
        size = " x ".join(str(axis) for axis in shape)
        lines.append(f"{name:<10} {size:>14} {params:>12,} {macs:>15,}")
    totals = sum(cost.num_params for cost in costs), sum(cost.macs for cost in costs)
    lines.append(f"{'total':<10} {'':>14} {totals[0]:>12,} {totals[1]:>15,}")
    return "\n".join(lines)
