"""The picture of the weight updates: what was measured against what was predicted."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.drawing.charts import WIDTH
from src.drawing.sheet import ACTUAL, PREDICTED


class ConvUpdate(NamedTuple):
    """A convolution's settled ||dw|| / ||w||, and the equilibrium; nan where there is none."""

    name: str
    measured: float
    predicted: float


def updates_figure(convs: Sequence[ConvUpdate], steps: Sequence[int], updates: Sequence[float]) -> Figure:
    """Above a row for each convolution, below the whole network's update over the steps; log scales.

    Without convolutions before norms there is nothing to predict, and no upper part.
    """
    heights = [1.0 + 0.24 * len(convs), 2.4] if convs else [2.4]
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    # Subfigures: long names of layers above leave the curve below its width
    *uppers, lower = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for upper in uppers:
        _draw_convs(upper.subplots(), convs)
    axes = lower.subplots()
    axes.plot(steps, updates, color=ACTUAL, marker="." if len(steps) < 40 else "")
    axes.set_yscale(_scale_for(updates))
    axes.set(xlabel="step", ylabel="‖Δw‖ / ‖w‖")
    axes.set_title("the whole network's update of a step", fontsize=10)
    axes.grid(alpha=0.3)
    return figure


def _scale_for(values: Sequence[float]) -> str:
    """Updates differ by orders of magnitude; with lr = 0 all are zero, which logarithms cannot show."""
    return "log" if any(value > 0 for value in values) else "linear"


def _draw_convs(axes: Axes, convs: Sequence[ConvUpdate]) -> None:
    """A point where each convolution's update settled, a bar where it should."""
    places = range(len(convs))
    axes.scatter([c.measured for c in convs], places, color=ACTUAL, label="measured", zorder=3)
    predicted = [c.predicted for c in convs]
    if not all(math.isnan(value) for value in predicted):
        axes.scatter(
            predicted,
            places,
            s=120,
            marker="|",
            linewidth=2.5,
            color=PREDICTED,
            label="equilibrium",
            zorder=2,
        )
    axes.set_yticks(places, [c.name for c in convs], fontsize=9)
    axes.set_ylim(len(convs) - 0.4, -0.6)  # the first layer on top
    axes.set_xscale(_scale_for([c.measured for c in convs] + predicted))
    axes.tick_params(axis="x", which="both", labelsize=8, rotation=30)
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, frameon=False)
    axes.set_xlabel("‖Δw‖ / ‖w‖ in the last quarter")
