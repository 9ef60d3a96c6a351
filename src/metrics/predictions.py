"""What a network predicts for every image of a set, and what follows from it.

Shapes: N images, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Predictions:
    """Logits and labels of N images.

    Args:
        indices: (N,) position of each image in its dataset.
        labels: (N,) class indices.
        logits: (N, K); kept and used in float64.
    """

    indices: np.ndarray
    labels: np.ndarray
    logits: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def log_probs(self) -> np.ndarray:
        """(N, K) log-softmax of the logits."""
        logits = self.logits.astype(np.float64)
        shifted = logits - logits.max(axis=1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))

    @cached_property
    def probs(self) -> np.ndarray:
        """(N, K) softmax of the logits."""
        return np.asarray(np.exp(self.log_probs))

    @cached_property
    def ranking(self) -> np.ndarray:
        """(N, K) classes by falling logit; of equal ones, the lower index first."""
        return np.argsort(-self.logits, axis=1, kind="stable")

    @property
    def predicted(self) -> np.ndarray:
        """(N,) the class with the largest logit."""
        return np.asarray(self.ranking[:, 0])

    @property
    def second(self) -> np.ndarray:
        """(N,) the class with the second largest logit."""
        return np.asarray(self.ranking[:, 1])

    @cached_property
    def confidence(self) -> np.ndarray:
        """(N,) probability of the predicted class."""
        return self.prob_of(self.predicted)

    @property
    def margin(self) -> np.ndarray:
        """(N,) probability of the predicted class less that of the second choice."""
        return np.asarray(self.confidence - self.prob_of(self.second))

    @property
    def losses(self) -> np.ndarray:
        """(N,) cross-entropy in nats."""
        return np.asarray(-self.log_probs[np.arange(len(self)), self.labels])

    @property
    def wrong(self) -> np.ndarray:
        """(N,) bool."""
        return np.asarray(self.predicted != self.labels)

    def prob_of(self, classes: np.ndarray) -> np.ndarray:
        """(N,) class indices -> their probabilities (N,)."""
        return np.asarray(self.probs[np.arange(len(self)), classes])

    def most_confident_mistakes(self, count: int) -> np.ndarray:
        """Rows of up to `count` mistakes, the most confident first; of equals, the earlier image first."""
        rows = np.flatnonzero(self.wrong)
        return rows[np.argsort(-self.confidence[rows], kind="stable")][:count]


@dataclass(frozen=True)
class SavedPredictions:
    """What `predictions.csv` keeps of N images, in the order of the data.

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
