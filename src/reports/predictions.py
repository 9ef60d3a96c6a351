"""`predictions.csv`: what a network said about each image of the test set."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from src.metrics.predictions import Predictions

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
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", newline="", encoding="utf-8") as file:
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
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
