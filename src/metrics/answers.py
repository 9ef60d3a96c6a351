"""What a run's network said about each test image, as kept in `predictions.csv`, and sums over it.

Shapes: N images, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SavedPredictions:
    """Of N images, in the order of the data.

    Args:
        labels: (N,) true classes.
        predicted: (N,) classes.
        confidence: (N,) probability of the predicted class.
        class_names: of all K classes; a class that was never seen is known by its number.
    """

    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    class_names: Sequence[str]

    @property
    def wrong(self) -> np.ndarray:
        """(N,) bool."""
        return np.asarray(self.predicted != self.labels)


def total_confusion(runs: Sequence[SavedPredictions], num_classes: int) -> np.ndarray:
    """(K, K) images of all runs together: rows are actual classes, columns predicted ones."""
    places = np.concatenate([run.labels * num_classes + run.predicted for run in runs])
    return np.bincount(places, minlength=num_classes**2).reshape(num_classes, num_classes)


def class_accuracy(confusion: np.ndarray) -> np.ndarray:
    """(K,) share of each actual class that was recognized; NaN for a class without images."""
    totals = confusion.sum(axis=1)
    return np.where(totals > 0, confusion.diagonal() / np.maximum(totals, 1), np.nan)
