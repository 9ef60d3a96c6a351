"""Where variants differ by class, and what each of them confuses, from `predictions.csv`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.metrics.errors import confused_pairs
from src.metrics.predictions import SavedPredictions, class_accuracy, total_confusion

_CLASSES = 20  # rows shown of a dataset with more classes
PAIRS = 5  # confusions shown of a variant


@dataclass(frozen=True)
class _Difference:
    """Accuracy on a class, and how much above the leader's it is, both in percent of the class's images.

    `share` is the difference's size, 0 to 100, beside the largest one in the table.
    """

    accuracy: float
    points: float
    share: float


@dataclass(frozen=True)
class _ClassTable:
    """A row of differences for each class, the leader's first; the classes are those that differ most."""

    names: Sequence[str]
    rows: Sequence[Sequence[_Difference]]
    num_classes: int


@dataclass(frozen=True)
class Confusion:
    """`share` percent of the images of class `actual` were taken for `predicted`, over all runs."""

    actual: str
    predicted: str
    share: float


def class_table(variants: Sequence[Sequence[SavedPredictions]]) -> _ClassTable:
    """Accuracy by class of each variant's runs together, beside that of the first variant."""
    names = class_names(variants)
    percent = 100 * np.stack(
        [class_accuracy(total_confusion(runs, len(names))) for runs in variants]
    )  # (V, K)
    points = percent - percent[0]
    spread = np.nan_to_num(np.ptp(percent, axis=0), nan=-1.0)  # a class without images comes last
    kept = np.sort(np.argsort(-spread, kind="stable")[:_CLASSES])
    kept = kept[spread[kept] >= 0]
    largest = max(np.abs(points[:, kept]).max(initial=0.0), 1e-9)
    rows = [
        [
            _Difference(float(a), float(p), float(100 * abs(p) / largest))
            for a, p in zip(percent[:, k], points[:, k], strict=True)
        ]
        for k in kept
    ]
    return _ClassTable([names[k] for k in kept], rows, len(names))


def most_confused(runs: Sequence[SavedPredictions], names: Sequence[str]) -> list[Confusion]:
    """A variant's most frequent mistakes, the most frequent first."""
    pairs = confused_pairs(total_confusion(runs, len(names)), PAIRS)
    return [Confusion(names[pair.actual], names[pair.predicted], 100 * pair.share) for pair in pairs]


def class_names(variants: Sequence[Sequence[SavedPredictions]]) -> Sequence[str]:
    """Of all classes: the longest list, for a run that never met the last class does not know it."""
    return max((run.class_names for runs in variants for run in runs), key=len)
