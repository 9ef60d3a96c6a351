"""Numbers about mistakes, on predictions small enough to count by hand."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from torch import nn, tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from src.metrics.errors import NUM_BINS, confused_pairs, confusion_matrix, per_class, reliability
from src.metrics.predictions import Predictions
from src.runs.predictions import write_predictions

LOG = math.log
# Probabilities (1/2, 3/8, 1/8), (1/4, 1/4, 1/2), (1/8, 3/4, 1/8), (5/8, 1/4, 1/8), (3/4, 1/8, 1/8)
LOGITS = np.log([[4, 3, 1], [2, 2, 4], [1, 6, 1], [5, 2, 1], [6, 1, 1]])
SAID = Predictions(np.array([7, 3, 5, 0, 2]), np.array([0, 0, 2, 1, 1]), LOGITS)


def test_what_follows_from_logits() -> None:
    assert SAID.predicted.tolist() == [0, 2, 1, 0, 0]
    assert SAID.second.tolist() == [1, 0, 0, 1, 1]  # of equal second choices the lower class
    assert SAID.confidence == pytest.approx([0.5, 0.5, 0.75, 0.625, 0.75])
    assert SAID.margin == pytest.approx([1 / 8, 1 / 4, 5 / 8, 3 / 8, 5 / 8])
    assert SAID.losses == pytest.approx([LOG(2), LOG(4), LOG(8), LOG(4), LOG(8)])
    assert SAID.wrong.tolist() == [False, True, True, True, True]


def test_the_most_confident_mistakes_come_first_and_ties_by_position() -> None:
    assert SAID.most_confident_mistakes(25).tolist() == [2, 4, 3, 1]
    assert SAID.most_confident_mistakes(2).tolist() == [2, 4]


def test_losses_equal_torchs() -> None:
    logits = np.random.default_rng(0).normal(0, 30, (50, 7))  # far apart: a naive softmax overflows
    labels = np.arange(50) % 7
    said = Predictions(np.arange(50), labels, logits)
    want = nn.functional.cross_entropy(tensor(logits), tensor(labels), reduction="none")
    np.testing.assert_allclose(said.losses, want.numpy(), rtol=1e-12, atol=1e-14)  # losses of 1e-6 cancel
    assert np.isfinite(said.probs).all()


def test_confusion_and_pairs_by_hand() -> None:
    matrix = confusion_matrix(SAID)
    assert matrix.tolist() == [[1, 0, 1], [2, 0, 0], [0, 1, 0]]  # rows are what the images are
    pairs = confused_pairs(matrix, 2)
    assert [tuple(pair) for pair in pairs] == [(1, 0, 2, 1.0), (0, 2, 1, 0.5)]
    assert confused_pairs(np.diag([3, 4]), 5) == []


def test_precision_recall_and_f1_by_hand() -> None:
    scores = per_class(SAID)
    assert scores.num_images.tolist() == [2, 2, 1]
    assert scores.precision == pytest.approx([1 / 3, 0, 0])
    assert scores.recall == pytest.approx([1 / 2, 0, 0])
    assert scores.f1 == pytest.approx([2 / 5, 0, 0])


def test_scores_without_meaning_are_nan() -> None:
    # every image is of class 1 and is taken for class 0: class 2 is neither seen nor said
    scores = per_class(Predictions(np.arange(2), np.array([1, 1]), np.array([[1.0, 0, 0], [1.0, 0, 0]])))
    np.testing.assert_array_equal(scores.precision, [0.0, np.nan, np.nan])
    np.testing.assert_array_equal(scores.recall, [np.nan, 0.0, np.nan])


def test_reliability_by_hand() -> None:
    found = reliability(SAID)
    assert found.num_images.sum() == 5
    # 0.5 lies in the bin (7/15, 8/15], 0.625 in (9/15, 10/15], 0.75 in (11/15, 12/15]
    assert np.flatnonzero(found.num_images).tolist() == [7, 9, 11]
    assert found.num_images[[7, 9, 11]].tolist() == [2, 1, 2]
    assert found.accuracy[[7, 9, 11]] == pytest.approx([0.5, 0, 0])
    assert found.confidence[[7, 9, 11]] == pytest.approx([0.5, 0.625, 0.75])
    assert found.ece == pytest.approx((2 * 0.0 + 0.625 + 2 * 0.75) / 5)


def test_the_bins_and_torchmetrics_give_one_ece() -> None:
    rng = np.random.default_rng(1)
    said = Predictions(np.arange(500), rng.integers(0, 10, 500), rng.normal(0, 2, (500, 10)))
    found = reliability(said)
    filled = found.num_images > 0
    gaps = np.abs(found.accuracy - found.confidence)[filled]
    assert found.ece == pytest.approx(
        (gaps * found.num_images[filled]).sum() / 500, abs=1e-6
    )  # float32 inside
    theirs = multiclass_calibration_error(tensor(said.probs), tensor(said.labels), 10, n_bins=NUM_BINS)
    assert found.ece == pytest.approx(float(theirs))


def test_the_file_has_a_row_an_image(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, SAID, ["ant", "bee, wild", "cow"], ["", "a", "b", "", "c"])
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[2] == {
        "index": "5",
        "label": "2",
        "prediction": "1",
        "confidence": "0.75",
        "loss": "2.07944",  # log 8
        "second": "0",
        "margin": "0.625",
        "label_name": "cow",
        "prediction_name": "bee, wild",
        "triage": "b",
    }
    assert [row["index"] for row in rows] == ["7", "3", "5", "0", "2"]
    assert [p.name for p in tmp_path.iterdir()] == ["predictions.csv"], "no temporary file stays"
