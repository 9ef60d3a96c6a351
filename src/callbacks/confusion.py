"""Which classes the network takes for which."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.callbacks.evaluation import Evaluation, View
from src.drawing.charts import as_image, confusion_figure, per_class_figure
from src.drawing.sheet import packed, save
from src.metrics.errors import Pair, PerClass, confused_pairs, confusion_matrix, per_class

log = logging.getLogger(__name__)

_MAX_LINES = 20  # classes on the terminal


@dataclass(kw_only=True)
class Confusion(View):
    """At the test: confusion matrix, the most confused pairs, precision, recall and F1 of each class.

    The accuracy of each class is logged, too.

    Args:
        folder: where the figures are written as PNG files.
        num_pairs: confused pairs listed.
        percent: the matrix shows percentages of each row instead of images.
    """

    folder: str
    num_pairs: int = 15
    percent: bool = False

    def __call__(self, seen: Evaluation) -> None:
        matrix, scores = confusion_matrix(seen), per_class(seen)
        figures = {
            "confusion": confusion_figure(matrix, seen.class_names, percent=self.percent),
            "per_class": per_class_figure(scores, seen.class_names),
        }
        for name, figure in figures.items():
            picture = packed(as_image(figure))
            seen.add_image(name, picture)
            save(picture, Path(self.folder), name)
        seen.add_text(
            "confused_pairs", _pairs_table(confused_pairs(matrix, self.num_pairs), seen.class_names)
        )
        seen.add_text("per_class", _per_class_table(scores, seen.class_names))
        log.info("\n%s", accuracy_by_class(scores, seen.class_names))


def accuracy_by_class(scores: PerClass, class_names: Sequence[str]) -> str:
    """One line a class, the lowest accuracy first; of many classes the lowest ones."""
    order = np.argsort(scores.recall, kind="stable")  # NaN, a class without images, is last
    lines = [f"accuracy by class ({scores.num_images.sum():,} images)"]
    for k in order[:_MAX_LINES]:
        share = "-" if np.isnan(scores.recall[k]) else f"{scores.recall[k]:.1%}"
        lines.append(f"  {class_names[k]:<24} {share:>6}")
    if len(order) > _MAX_LINES:
        lines.append(f"  and {len(order) - _MAX_LINES} more classes, none lower: per_class in TensorBoard")
    return "\n".join(lines)


def _pairs_table(pairs: Sequence[Pair], class_names: Sequence[str]) -> str:
    """Markdown, a row a pair."""
    if not pairs:
        return "No mistakes."
    rows = ["| actual | predicted | images | share of the actual class |", "|---|---|---:|---:|"]
    rows += [
        f"| {class_names[a]} | {class_names[p]} | {count} | {share:.1%} |" for a, p, count, share in pairs
    ]
    return "\n".join(rows)


def _per_class_table(scores: PerClass, class_names: Sequence[str]) -> str:
    """Markdown, a row a class; a dash where a score has no meaning."""
    rows = ["| class | images | precision | recall | F1 |", "|---|---:|---:|---:|---:|"]
    for name, count, *values in zip(class_names, *scores, strict=True):
        shown = " | ".join("-" if np.isnan(value) else f"{value:.1%}" for value in values)
        rows.append(f"| {name} | {count} | {shown} |")
    return "\n".join(rows)
