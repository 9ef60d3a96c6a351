"""Learning rate and momentum of several schedules."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from src.plot_schedule.simulate import Curves

# Okabe & Ito: distinct for the color-blind; with them, the dashes tell curves apart
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")


def schedules_figure(curves: Mapping[str, Curves], steps_per_epoch: Mapping[str, int]) -> Figure:
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


def schedules_table(curves: Mapping[str, Curves], rows: int = 10) -> str:
    """Learning rates at tenths of the training, a column a schedule; the last row is the last step."""
    names = list(curves)
    widths = [max(len(name), 10) for name in names]
    lines = ["progress  " + "  ".join(f"{name:>{w}}" for name, w in zip(names, widths, strict=True))]
    for row in range(rows + 1):
        at = [min(round(len(curves[name].lr) * row / rows), len(curves[name].lr) - 1) for name in names]
        cells = (f"{curves[n].lr[k]:>{w}.4g}" for n, k, w in zip(names, at, widths, strict=True))
        lines.append(f"{row / rows:>8.0%}  " + "  ".join(cells))
    return "\n".join(lines)
