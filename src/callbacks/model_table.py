"""The network at a glance: parts, shapes, parameters, MACs."""

import logging
import math
from collections.abc import Sequence

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from src.callbacks.board import boards
from src.models.cost import LayerCost, layer_costs

log = logging.getLogger(__name__)


MB = 1e6  # bytes
_FLOAT32 = 4  # bytes


class ModelTable(L.Callback):
    """Print the network's parts when training starts, and keep them as text in TensorBoard.

    Args:
        layers: a line for each single layer, with its sizes in MB, instead of one for each part.
    """

    def __init__(self, *, layers: bool = False) -> None:
        self.layers = layers

    @rank_zero_only
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        image_size = trainer.datamodule.image_size  # type: ignore[attr-defined]
        costs = layer_costs(pl_module.net, image_size, leaves=self.layers)  # type: ignore[arg-type]
        table = layer_table(costs) if self.layers else model_table(costs)
        log.info("%s\n", table)
        for writer in boards(trainer):
            writer.add_text("model", f"```\n{table}\n```", trainer.global_step)


def model_table(costs: Sequence[LayerCost]) -> str:
    """One line a part, and their sum."""
    lines = [f"{'layer':<10} {'output':>14} {'parameters':>12} {'MACs an image':>15}"]
    for name, shape, params, macs in costs:
        lines.append(f"{name:<10} {_size_of(shape):>14} {params:>12,} {macs:>15,}")
    totals = sum(cost.num_params for cost in costs), sum(cost.macs for cost in costs)
    lines.append(f"{'total':<10} {'':>14} {totals[0]:>12,} {totals[1]:>15,}")
    return "\n".join(lines)


def layer_table(costs: Sequence[LayerCost]) -> str:
    """One line a layer with its output's and its parameters' megabytes in float32, and their sums."""
    rows = [
        (cost.name, _size_of(cost.shape), math.prod(cost.shape), cost.num_params, cost.macs) for cost in costs
    ]
    rows.append(("total", "", *(sum(column) for column in list(zip(*rows, strict=True))[2:])))
    width = max(len(name) for name, *_ in rows)
    heads = f"{'output':>14} {'MB an image':>12} {'parameters':>12} {'MB':>8} {'MACs an image':>15}"
    lines = [f"{'layer':<{width}} {heads}"]
    for name, size, outputs, params, macs in rows:
        megabytes = outputs * _FLOAT32 / MB, params * _FLOAT32 / MB
        lines.append(
            f"{name:<{width}} {size:>14} {megabytes[0]:>12.3f} {params:>12,} {megabytes[1]:>8.3f} {macs:>15,}"
        )
    return "\n".join(lines)


def _size_of(shape: Sequence[int]) -> str:
    return " x ".join(str(axis) for axis in shape)
