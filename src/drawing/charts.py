"""Matplotlib figures of a test: confusion, classes, calibration. Half a second each: for the end of a run."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from src.drawing.sheet import ACTUAL, PREDICTED
from src.metrics.errors import NUM_BINS, PerClass, Reliability

MAX_NUMBERED = 20  # classes; a larger matrix has no room for numbers and names
MAX_BARS = 40  # classes


def confusion_figure(matrix: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Confusion matrix (K, K): the colour is the share of the actual class, the number counts images."""
    totals = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.maximum(totals, 1)
    count = len(matrix)
    side = 7.2 if count <= MAX_NUMBERED else 9.0
    figure = Figure(figsize=(side, side * 0.92), layout="constrained")
    axes = figure.subplots()
    mistakes = shares * (1 - np.eye(count))
    # Mistakes are few beside hits: their colours share a scale of their own
    image = axes.imshow(mistakes, cmap="Oranges", vmin=0, vmax=max(mistakes.max(), 1e-9))
    figure.colorbar(image, ax=axes, label="share of the actual class, off the diagonal", shrink=0.8)
    axes.set(xlabel="predicted", ylabel="actual")
    axes.xaxis.label.set_color(PREDICTED)
    axes.yaxis.label.set_color(ACTUAL)
    axes.set_title(
        f"{np.trace(matrix):,} of {matrix.sum():,} right ({np.trace(matrix) / max(matrix.sum(), 1):.2%})"
    )
    if count > MAX_NUMBERED:
        return figure
    axes.set_xticks(range(count), class_names, rotation=45, ha="right")
    axes.set_yticks(range(count), class_names)
    for a in range(count):
        for p in range(count):
            dark = mistakes[a, p] > 0.6 * mistakes.max() > 0
            weight = "bold" if a == p else "normal"
            ink = "white" if dark else ("#1a1a1a" if matrix[a, p] else "#bbbbbb")
            axes.text(p, a, str(matrix[a, p]), ha="center", va="center", color=ink, fontsize=9, weight=weight)
    return figure


def per_class_figure(scores: PerClass, class_names: Sequence[str]) -> Figure:
    """Precision and recall of each class, the class with the lowest F1 on top."""
    order = np.argsort(-np.nan_to_num(scores.f1, nan=-1.0), kind="stable")[-MAX_BARS:]  # the worst ones
    precision, recall = scores.precision[order] * 100, scores.recall[order] * 100
    figure = Figure(figsize=(7.2, 1.2 + 0.36 * len(order)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(order))
    axes.hlines(places, precision, recall, color="#bbbbbb", zorder=1)
    axes.scatter(precision, places, marker="s", color=PREDICTED, label="precision", zorder=2)
    axes.scatter(recall, places, color=ACTUAL, label="recall", zorder=2)
    axes.set_yticks(places, [class_names[k] for k in order])
    axes.set_xlabel("%")
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    axes.set_title("precision: of those called so. recall: of those that are so.")
    return figure


def reliability_figure(found: Reliability) -> Figure:
    """Accuracy against confidence by bin, the gap to the diagonal, and how many images each bin holds."""
    width = 1 / NUM_BINS
    centres = (np.arange(NUM_BINS) + 0.5) * width
    figure = Figure(figsize=(6.4, 6.0), layout="constrained")
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


def as_image(figure: Figure, dpi: int = 110) -> Image.Image:
    """A figure as a picture."""
    buffer = BytesIO()
    figure.savefig(buffer, dpi=dpi)
    return Image.open(buffer).convert("RGB")
