"""Learning rate and momentum of schedules, without training: simulated, drawn, and as a table."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.optim import Optimizer

from src.optim.schedule import Schedule

# Okabe & Ito: distinct for the color-blind; with them, the dashes tell curves apart
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")


class _Curves(NamedTuple):
    """What each step trains with: (steps,) learning rate, and momentum or beta1 (NaN without either)."""

    lr: np.ndarray
    momentum: np.ndarray


def simulate(optimizer: Optimizer, schedule: Schedule, *, steps_per_epoch: int, epochs: int) -> _Curves:
    """Run a schedule over steps that change no weight.

    A schedule that waits for a metric sees one that never improves.
    """
    contract = schedule.bind(optimizer, total_steps=steps_per_epoch * epochs, total_epochs=epochs)
    lrs, momenta = [], []
    for _ in range(epochs):
        for _ in range(steps_per_epoch):
            group = optimizer.param_groups[0]
            lrs.append(float(group["lr"]))
            momenta.append(_momentum_of(group))
            optimizer.step()
            if contract["interval"] == "step":
                advance(contract)
        if contract["interval"] == "epoch":
            advance(contract)
    return _Curves(np.array(lrs), np.array(momenta))


def advance(contract: dict[str, Any]) -> None:
    """One interval later; a metric stays what it was."""
    scheduler = contract["scheduler"]
    scheduler.step(*([0.0] if "monitor" in contract else []))


def _momentum_of(group: dict[str, Any]) -> float:
    """A parameter group's momentum, or its first beta; NaN where it has neither."""
    return float(group.get("momentum", group.get("betas", (float("nan"),))[0]))


def a_weight() -> list[torch.nn.Parameter]:
    """One kernel of one weight for an optimizer that is to have something to hold."""
    return [torch.nn.Parameter(torch.zeros(1, 1, 1, 1))]


def schedules_figure(curves: Mapping[str, _Curves], steps_per_epoch: Mapping[str, int]) -> Figure:
    """One line a schedule over epochs: learning rate above, momentum (or beta1) below."""
    figure = Figure(figsize=(7, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(2, 1), sharex=True)
    for k, (name, curve) in enumerate(curves.items()):
        style = {"color": COLORS[k % len(COLORS)], "linestyle": DASHES[k // len(COLORS) % len(DASHES)]}
        epochs = np.arange(len(curve.lr)) / steps_per_epoch[name]
        upper.plot(epochs, curve.lr, label=name, **style)
        lower.plot(epochs, curve.momentum, **style)
    upper.set_ylabel("learning rate")
    lower.set(ylabel="momentum", xlabel="epoch")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    upper.legend()
    return figure


def schedules_table(curves: Mapping[str, _Curves], rows: int = 10) -> str:
    """Learning rates at tenths of the training, a column a schedule; the last row is the last step."""
    names = list(curves)
    widths = [max(len(name), 10) for name in names]
    lines = ["progress  " + "  ".join(f"{name:>{w}}" for name, w in zip(names, widths, strict=True))]
    for row in range(rows + 1):
        at = [min(round(len(curves[name].lr) * row / rows), len(curves[name].lr) - 1) for name in names]
        cells = (f"{curves[n].lr[k]:>{w}.4g}" for n, k, w in zip(names, at, widths, strict=True))
        lines.append(f"{row / rows:>8.0%}  " + "  ".join(cells))
    return "\n".join(lines)
