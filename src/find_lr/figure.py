"""The picture of a learning rate range test."""

import numpy as np
from matplotlib.figure import Figure

from src.drawing.charts import WIDTH
from src.drawing.sheet import ACTUAL, FAINT, PREDICTED
from src.find_lr.range_test import Suggestion

MARGIN = 1.3  # the axis ends at the first smoothed loss times this, and starts at the lowest by it


def range_test_figure(
    lrs: np.ndarray,
    losses: np.ndarray,
    smooth: np.ndarray,
    found: Suggestion | None,
    *,
    scale: str = "log",
    loss: str = "training",
) -> Figure:
    """A training or validation loss against the learning rate, raw and smoothed, and both suggestions.

    Arrays are (n,); `scale`, log or linear, is that of the axis of learning rates.
    """
    figure = Figure(figsize=(1.4 * WIDTH, WIDTH), layout="constrained")
    axes = figure.subplots()
    axes.plot(lrs, losses, ".", ms=3, color="#aaaaaa", label="a step's loss")
    axes.plot(lrs, smooth, color=ACTUAL, label="smoothed")
    if found:
        axes.axvline(found.minimum, color=PREDICTED, label=f"lowest loss: {found.minimum:.3g}")
        axes.axvline(found.steepest, color=FAINT, ls="--", label=f"steepest descent: {found.steepest:.3g}")
        axes.plot(found.minimum, smooth[found.minimum_step], "o", color=PREDICTED)
        axes.plot(found.steepest, smooth[found.steepest_step], "o", color=FAINT)
    axes.set(xscale=scale, xlabel="learning rate", ylabel=f"{loss} loss")
    if len(smooth):
        axes.set_ylim(smooth.min() / MARGIN, MARGIN * smooth[0])  # a loss that blows up would hide the rest
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    axes.set_title("learning rate range test")
    return figure
