"""Matplotlib figures of a test: confusion, classes, calibration. Half a second each: for the end of a run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from src.drawing.sheet import ACTUAL, INK, PREDICTED
from src.metrics.errors import NUM_BINS, PerClass, Reliability

WIDTH = 4.8  # inches: nine-point type is legible where TensorBoard shows a picture 345 pixels wide
_MAX_NUMBERED = 20  # classes; a larger matrix has no room for numbers and names
_MAX_BARS = 40  # classes


def confusion_figure(matrix: np.ndarray, class_names: Sequence[str], *, percent: bool = False) -> Figure:
    """Confusion matrix (K, K): the color is the share of the actual class, the number counts images.

    With `percent` the number is the percentage of the actual class, on the diagonal, too.

    Mistakes are few beside hits: the colors are scaled to the mistakes, and the diagonal has none.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    count, right, total = len(matrix), np.trace(matrix), matrix.sum()
    side = WIDTH if count <= _MAX_NUMBERED else 2 * WIDTH
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    mistakes = shares * (1 - np.eye(count))
    top = max(mistakes.max(), 1e-9)
    axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=top)
    axes.set_xlabel(f"predicted (darkest: {top:.0%} of a row)", color=PREDICTED)
    axes.set_ylabel("actual", color=ACTUAL)
    unit = ", % of each row" if percent else ""
    axes.set_title(f"{right:,} of {total:,} right ({right / max(total, 1):.2%}){unit}")
    if count > _MAX_NUMBERED:
        return figure
    axes.set_xticks(range(count), class_names, rotation=45, ha="right")
    axes.set_yticks(range(count), class_names)
    for a in range(count):
        for p in range(count):
            ink = "white" if mistakes[a, p] > 0.6 * top else INK if matrix[a, p] else "#bbbbbb"
            weight = "bold" if a == p else "normal"
            size = 8 if count <= 10 else 6
            number = f"{100 * shares[a, p]:.1f}" if percent else str(matrix[a, p])
            axes.text(p, a, number, ha="center", va="center", color=ink, fontsize=size, weight=weight)
    return figure


def per_class_figure(scores: PerClass, class_names: Sequence[str]) -> Figure:
    """Precision and recall of each class, the class with the lowest F1 on top."""
    order = np.argsort(-np.nan_to_num(scores.f1, nan=-1.0), kind="stable")[-_MAX_BARS:]  # the worst ones
    precision, recall = scores.precision[order] * 100, scores.recall[order] * 100
    figure = Figure(figsize=(WIDTH, 1.2 + 0.3 * len(order)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(order))
    axes.hlines(places, precision, recall, color="#bbbbbb", zorder=1)
    axes.scatter(precision, places, marker="s", color=PREDICTED, label="precision", zorder=2)
    axes.scatter(recall, places, color=ACTUAL, label="recall", zorder=2)
    axes.set_yticks(places, [class_names[k] for k in order])
    axes.set_xlabel("%")
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    axes.set_title("precision: of those called so; recall: of those that are so", fontsize=9)
    return figure


def reliability_figure(found: Reliability) -> Figure:
    """Accuracy against confidence by bin, the gap to the diagonal, and how many images each bin holds."""
    width = 1 / NUM_BINS
    centres = (np.arange(NUM_BINS) + 0.5) * width
    figure = Figure(figsize=(WIDTH, WIDTH), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    filled = found.num_images > 0
    upper.bar(centres[filled], found.accuracy[filled], width * 0.92, color=ACTUAL, label="accuracy")
    upper.bar(
        centres[filled],
        (found.confidence - found.accuracy)[filled],
        width * 0.92,
        bottom=found.accuracy[filled],
        color="none",
        edgecolor=PREDICTED,
        hatch="//",
        label="gap to confidence",
    )
    upper.plot([0, 1], [0, 1], "--", color="#6b6b6b", label="as confident as right")
    upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    upper.set_title(f"expected calibration error {found.ece:.4f}")
    upper.legend(loc="upper left")
    lower.bar(centres, found.num_images, width * 0.92, color="#6b6b6b")
    lower.set(xlabel="confidence", ylabel="images")
    return figure


def as_image(figure: Figure, dpi: int = 150) -> Image.Image:
    """A figure as a picture, straight from the canvas: no PNG is written and read back."""
    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(figure)  # has no types
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
