"""What a network said about single pictures, as a table."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from src.files import atomic_write


@dataclass(frozen=True)
class Explanation:
    """A row: names of classes with their probabilities; `actual` is empty where nobody knows it."""

    picture: str
    predicted: str
    confidence: float
    second: str
    second_confidence: float
    actual: str
    target: str
    target_confidence: float
    sheet: str


def write_explanations(path: Path, rows: Sequence[Explanation]) -> None:
    """A CSV file, a row a picture."""
    with atomic_write(path) as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Explanation)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def explanations_table(rows: Sequence[Explanation]) -> str:
    """For the terminal: picture, predicted class, second choice, actual class, target, sheet."""
    cells = [("picture", "predicted", "second choice", "actual", "target", "sheet")]
    for row in rows:
        said = f"{row.predicted} {row.confidence:.1%}"
        other = f"{row.second} {row.second_confidence:.1%}"
        aim = f"{row.target} {row.target_confidence:.1%}"
        cells.append((row.picture, said, other, row.actual or "?", aim, row.sheet))
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells
    )
