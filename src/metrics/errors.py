"""Which classes are confused, and whether confidences can be believed.

Shapes: N images, K classes.
"""

from typing import NamedTuple

import numpy as np
import torch
from torchmetrics.functional.classification import (
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from src.metrics.predictions import Predictions

NUM_BINS = 15  # of confidence, all equally wide (Guo et al. 2017, arXiv:1706.04599)


class Pair(NamedTuple):
    """`images` images of class `actual` were taken for `predicted`; `share` is of all images of `actual`."""

    actual: int
    predicted: int
    images: int
    share: float


class PerClass(NamedTuple):
    """(K,) each. Precision is NaN for a class never predicted, recall for a class without images."""

    num_images: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


class Reliability(NamedTuple):
    """Per bin (NUM_BINS,): images, mean confidence and accuracy (NaN where empty); and the ECE."""

    num_images: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    ece: float


def confusion_matrix(predictions: Predictions) -> np.ndarray:
    """(K, K) counts: rows are actual classes, columns predicted ones."""
    predicted, labels, num_classes = _as_tensors(predictions)
    return multiclass_confusion_matrix(predicted, labels, num_classes).numpy()


def confused_pairs(matrix: np.ndarray, count: int) -> list[Pair]:
    """The `count` most frequent mistakes of a confusion matrix (K, K), the most frequent first."""
    mistakes = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:count]
    totals = matrix.sum(axis=1)
    pairs = [(int(k) // len(matrix), int(k) % len(matrix)) for k in order]
    return [
        Pair(a, p, int(matrix[a, p]), float(matrix[a, p] / totals[a])) for a, p in pairs if mistakes[a, p]
    ]


def per_class(predictions: Predictions) -> PerClass:
    """Precision, recall and F1 of each class."""
    predicted, labels, num_classes = _as_tensors(predictions)
    precision, recall, f1 = (
        score(predicted, labels, num_classes, average="none").double().numpy()
        for score in (multiclass_precision, multiclass_recall, multiclass_f1_score)
    )
    num_images = np.bincount(predictions.labels, minlength=num_classes)
    num_predicted = np.bincount(predictions.predicted, minlength=num_classes)
    precision = np.where(num_predicted, precision, np.nan)
    recall = np.where(num_images, recall, np.nan)
    return PerClass(num_images, precision, recall, np.where(num_images, f1, np.nan))


def reliability(predictions: Predictions) -> Reliability:
    """Accuracy against confidence, and the expected calibration error `sum_b n_b/N |acc_b - conf_b|`."""
    # A network that has diverged has no confidence
    confidence, right = np.nan_to_num(predictions.confidence), ~predictions.wrong
    # Bins are closed above, (0, 1/15], (1/15, 2/15], …, as in the paper
    bins = np.clip(np.ceil(confidence * NUM_BINS).astype(int) - 1, 0, NUM_BINS - 1)
    counts = np.bincount(bins, minlength=NUM_BINS)
    with np.errstate(invalid="ignore"):
        mean_confidence, accuracy = (np.bincount(bins, w, NUM_BINS) / counts for w in (confidence, right))
    _, labels, num_classes = _as_tensors(predictions)
    probs = torch.from_numpy(predictions.probs)  # torchmetrics soft-maxes only what leaves [0, 1]
    ece = multiclass_calibration_error(probs, labels, num_classes, n_bins=NUM_BINS)
    return Reliability(counts, mean_confidence, accuracy, float(ece))


def _as_tensors(predictions: Predictions) -> tuple[torch.Tensor, torch.Tensor, int]:
    """(predicted (N,), labels (N,), K) as torchmetrics wants them."""
    predicted = torch.from_numpy(np.ascontiguousarray(predictions.predicted))
    return predicted, torch.from_numpy(predictions.labels.astype(np.int64)), predictions.logits.shape[1]
