"""`predictions.csv`: what a network said about each image of the test set."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.files import atomic_write
from src.metrics.predictions import Predictions, SavedPredictions
from src.runs.summary import one_line

NAME = "predictions.csv"
COLUMNS = ["index", "label", "prediction", "confidence", "loss", "second", "margin"]
COLUMNS += ["label_name", "prediction_name", "triage"]


def write_predictions(
    path: Path, predictions: Predictions, class_names: Sequence[str], buckets: Sequence[str] | None = None
) -> None:
    """One row an image, in the order of the data; the file is replaced in one move.

    `index` counts from 0 in the test set; `confidence` and `margin` (to the `second` choice) are
    probabilities, `loss` is in nats; `triage` is the mistake's bucket where triage was asked for.
    """
    with atomic_write(path) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        columns = (
            predictions.indices.tolist(),
            (labels := predictions.labels.tolist()),
            (predicted := predictions.predicted.tolist()),
            *([f"{x:.6g}" for x in xs] for xs in (predictions.confidence, predictions.losses)),
            predictions.second.tolist(),
            [f"{x:.6g}" for x in predictions.margin],
            [class_names[label] for label in labels],
            [class_names[label] for label in predicted],
            buckets or [""] * len(predictions),
        )
        writer.writerows(zip(*columns, strict=True))


def read_answers(path: Path) -> SavedPredictions:
    """What a `predictions.csv` says, in the order of the test set.

    Raises:
        ValueError: a column is missing or a value is no number, or there are no rows.
        OSError: there is no such file.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        rows.sort(key=lambda row: int(row["index"]))
        labels, predicted = (np.array([int(row[key]) for row in rows]) for key in ("label", "prediction"))
        confidence = np.array([float(row["confidence"]) for row in rows])
        known = {int(row[key]): row[f"{key}_name"] for row in rows for key in ("label", "prediction")}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no table of predictions: {one_line(error)}") from None
    if not rows or min(known) < 0:
        raise ValueError(f"{path} is no table of predictions: it has no rows, or a class below 0.")
    names = [known.get(k, str(k)) for k in range(max(known) + 1)]
    return SavedPredictions(labels, predicted, confidence, names)
