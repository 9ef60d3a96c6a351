"""How far each optimizer step moves the weights."""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn
from torch.optim import Optimizer

from src.callbacks.board import add_picture, board_step, boards
from src.drawing.charts import as_image
from src.drawing.sheet import packed, save
from src.drawing.updates import ConvUpdate, updates_figure
from src.engine.loggers import read_rows, replace_rows, rows_before
from src.metrics.updates import (
    angle,
    clipped_share,
    equilibrium,
    norm,
    relative_update,
    scale_invariant,
    settled,
)

NAME = "updates.csv"
ALL = "all"  # the row of the whole network


@dataclass(frozen=True)
class Row:
    """One measurement of one weight tensor, or of all parameters together: a line of `updates.csv`."""

    step: int  # TensorBoard's: 0 is the first step
    layer: str
    lr: float
    grad_norm: float  # before clipping
    weight_norm: float  # before the step, like lr
    update: float  # ||dw|| / ||w||
    angle: float  # degrees that w turned by
    equilibrium: float | None  # what `update` settles at, where a line is known
    clipped: float  # share of the gradient's values that clipping touched


@dataclass(frozen=True)
class Before:
    """A parameter before a step: what the step is about to change or lose."""

    parameter: nn.Parameter
    weights: Tensor  # a copy
    lr: float
    grad_norm: float
    equilibrium: float | None
    clipped: float


class UpdateMonitor(L.Callback):
    """Measure on the weights themselves what a step did: `updates.csv`, TensorBoard, `updates.png`.

    Each tensor of two or more axes is a layer: `stage2.block1.conv2`; `all` is every parameter that has a
    gradient, norms and biases included. Costs one more copy of the weights, during measured steps alone,
    and changes nothing: no random number is drawn, no gradient is touched.

    Args:
        folder: the run's, for the file and the picture.
        every_n_steps: optimizer steps between measurements; the run's first step is always one.
        histograms: after each epoch, histograms of the weights and of their last gradients, which are
            clipped; slow in large networks.

    Raises:
        ValueError: `every_n_steps` is less than 1.
    """

    def __init__(self, *, folder: str, every_n_steps: int = 50, histograms: bool = False) -> None:
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps must be 1 or more: got {every_n_steps}.")
        self.folder, self.every_n_steps, self.histograms = Path(folder), every_n_steps, histograms
        self.before: dict[str, Before] = {}
        self.rows: dict[str, list[Row]] = {}  # by layer
        self.invariant: set[str] | None = None

    @rank_zero_only
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """A resumed run keeps the rows before its checkpoint."""
        path = self.folder / NAME
        if path.is_file():
            kept = rows_before(trainer.global_step, read_rows(path))
            replace_rows(path, [field.name for field in fields(Row)], kept)
            self.keep([_as_row(row) for row in kept])

    @rank_zero_only
    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        # Called once for each step of the optimizer, however many batches it gathers, when the gradients
        # are complete, without an AMP scaler's factor, and not yet clipped. Schedules have not moved lr yet.
        if trainer.global_step % self.every_n_steps:
            return
        named = {name: p for name, p in _net_of(pl_module).named_parameters() if p.grad is not None}
        groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        norms = {name: norm([gradient(p)]) for name, p in named.items()}
        total = math.hypot(*norms.values())
        clip = trainer.gradient_clip_val, trainer.gradient_clip_algorithm
        for name, p in named.items():
            group = groups[id(p)]
            self.before[name] = Before(
                parameter=p,
                weights=p.detach().clone(),
                lr=float(group["lr"]),
                grad_norm=norms[name],
                equilibrium=equilibrium(group, optimizer),
                clipped=clipped_share([gradient(p)], *clip, total),
            )

    @rank_zero_only
    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self.before:
            return
        if self.invariant is None:
            self.invariant = scale_invariant(_net_of(pl_module), batch[0].shape[1:])
        rows = list(measured(self.before, self.invariant, board_step(trainer)))
        self.before = {}
        self.keep(rows)
        append(self.folder / NAME, rows)
        for writer in boards(trainer):
            for row in rows:
                for tag, value in scalars(row).items():
                    writer.add_scalar(tag, value, row.step)

    def keep(self, rows: list[Row]) -> None:
        for row in rows:
            self.rows.setdefault(row.layer, []).append(row)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.histograms:
            return
        for name, p in _net_of(pl_module).named_parameters():
            for kind, values in (("weights", p.detach()), ("gradients", p.grad)):
                finite = torch.empty(0) if values is None else values[values.isfinite()]
                if p.ndim >= 2 and len(finite):  # TensorBoard raises at nothing to count
                    for writer in boards(trainer):
                        writer.add_histogram(f"{kind}/{layer(name)}", finite.float(), board_step(trainer))

    @rank_zero_only
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.rows:
            return
        whole = self.rows[ALL]
        figure = updates_figure(
            conv_updates(self.rows, self.invariant or set()),
            [row.step for row in whole],
            [row.update for row in whole],
        )
        picture = packed(as_image(figure))
        save(picture, self.folder, "updates")
        add_picture(trainer, "train/updates", picture)


def _net_of(pl_module: L.LightningModule) -> nn.Module:
    """The network inside the module: its parameters have names without `net.`."""
    net: nn.Module = pl_module.net  # type: ignore[assignment]
    return net


def gradient(p: nn.Parameter) -> Tensor:
    assert p.grad is not None
    return p.grad


def layer(name: str) -> str:
    """A parameter's name as shown: `head.weight` is `head`."""
    return name.removesuffix(".weight")


def measured(before: dict[str, Before], invariant: set[str], step: int) -> Iterator[Row]:
    """A row for each weight tensor, then one for all parameters, from the weights as they are now."""
    for name, b in before.items():
        if b.weights.ndim >= 2:
            yield _row_of(step, layer(name), [b], b.equilibrium if layer(name) in invariant else None)
    yield _row_of(step, ALL, list(before.values()), None)


def _row_of(step: int, name: str, parts: list[Before], line: float | None) -> Row:
    old, new = [b.weights for b in parts], [b.parameter.detach() for b in parts]
    sizes = [b.weights.numel() for b in parts]
    return Row(
        step=step,
        layer=name,
        lr=parts[0].lr,
        grad_norm=math.hypot(*(b.grad_norm for b in parts)),
        weight_norm=norm(old),
        update=relative_update(old, new),
        angle=angle(old, new),
        equilibrium=line,
        clipped=sum(b.clipped * n for b, n in zip(parts, sizes, strict=True)) / sum(sizes),
    )


def scalars(row: Row) -> dict[str, float]:
    """TensorBoard's tags and values of a row."""
    found = {
        f"{kind}/{row.layer}": getattr(row, kind) for kind in ("update", "weight_norm", "grad_norm", "angle")
    }
    if row.equilibrium is not None:
        found[f"update_line/{row.layer}"] = row.equilibrium
    if row.layer == ALL:
        found["clip/share"] = row.clipped
    return found


def _as_row(line: dict[str, str]) -> Row:
    """A line of the file, read back."""
    step, name, *values = (line[field.name] for field in fields(Row))
    return Row(int(step), name, *(float(value) if value else None for value in values))  # type: ignore[arg-type]


def append(path: Path, rows: list[Row]) -> None:
    """Add lines to a CSV file, which begins with its header; nine digits, empty where there is no line."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(field.name for field in fields(Row))
        for one in rows:
            values = asdict(one).values()
            writer.writerow(f"{v:.9g}" if isinstance(v, float) else v for v in values)


def conv_updates(rows: Mapping[str, list[Row]], invariant: set[str]) -> list[ConvUpdate]:
    """Where each scale-invariant convolution's update settled, and its line, in the network's order."""
    return [
        ConvUpdate(
            name,
            settled([one.update for one in found]),
            settled([math.nan if one.equilibrium is None else one.equilibrium for one in found]),
        )
        for name, found in rows.items()
        if name in invariant
    ]
