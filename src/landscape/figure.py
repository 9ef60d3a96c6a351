"""The picture of a loss landscape's slice."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from src.drawing.charts import WIDTH
from src.drawing.sheet import ACTUAL, PREDICTED
from src.landscape.line import Point


def landscape_figure(points: Sequence[Point], *, xlabel: str, title: str) -> Figure:
    """Above the loss, below the accuracy, by place on the line; a log axis for losses over a decade."""
    places, losses = [point.place for point in points], [point.loss for point in points]
    figure = Figure(figsize=(1.2 * WIDTH, 1.2 * WIDTH), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    upper.plot(places, losses, ".-", color=PREDICTED)
    upper.set(yscale="log" if max(losses) > 10 * min(losses) else "linear", ylabel="validation loss (nats)")
    upper.set_title(title, fontsize=10)
    lower.plot(places, [100 * point.acc for point in points], ".-", color=ACTUAL)
    lower.set(xlabel=xlabel, ylabel="accuracy (%)")
    for axes in (upper, lower):
        axes.grid(alpha=0.3, which="both")
    return figure
