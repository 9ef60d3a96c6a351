"""How runs went, from their `metrics.csv` and `updates.csv`: one run, or several as a mean and a band."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from src.compare.runs import Run
from src.models.cost import training_pflop
from src.runs.curves import Points, read_metrics, read_updates
from src.runs.summary import one_line

Series = Mapping[float, float]  # x -> value


class Band(NamedTuple):
    """At each x, rising: mean, lowest and highest value, and of how many runs."""

    x: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]
    num_runs: list[int]


def band(runs: Sequence[Series]) -> Band:
    """Mean and range over the runs that have a finite value at an x; an x without any is left out."""
    rows = []
    for x in sorted({x for run in runs for x in run}):
        values = [run[x] for run in runs if x in run and isfinite(run[x])]
        if values:
            rows.append((x, sum(values) / len(values), min(values), max(values), len(values)))
    return from_rows(rows)


def against(y: Band, x: Band) -> Band:
    """`y` at the mean of `x` instead: accuracy by epoch, seconds by epoch -> accuracy by seconds."""
    place = dict(zip(x.x, x.mean, strict=True))
    rows = zip(*y, strict=True)
    return from_rows([(place[row[0]], *row[1:]) for row in rows if row[0] in place])


def thinned(full: Band, points: int) -> Band:
    """At most `points` of a band's points, evenly spread by rank, the first and the last among them."""
    count = len(full.x)
    if count <= points:
        return full
    kept = [round(k * (count - 1) / (points - 1)) for k in range(points)]
    rows = list(zip(*full, strict=True))
    return from_rows([rows[k] for k in kept])


def from_rows(rows: Sequence[tuple[float, float, float, float, int]]) -> Band:
    """Rows (x, mean, low, high, runs) as columns."""
    x, mean, low, high, num_runs = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return Band(list(x), list(mean), list(low), list(high), list(num_runs))


_UNREADABLE = (OSError, ValueError, KeyError, TypeError, csv.Error)  # from a damaged table


@dataclass(frozen=True)
class History:
    """What the files of a run say; empty where they are missing or damaged, with a line in `problems`.

    Args:
        epochs: metric -> its value by epochs done; `train/seconds` and `pflop` (compute, 10^15
            floating-point operations) count from the start of the run.
        lr: learning rate by step, of the first group of parameters.
        updates: ||dw|| / ||w|| of the whole network by step.
        problems: what could not be read, and why.
    """

    epochs: dict[str, Series]
    lr: Series
    updates: Series
    problems: list[str]


def read_history(run: Run) -> History:
    """A run's curves; never raises for a file that cannot be used."""
    problems: list[str] = []
    epochs: dict[str, Series] = {}
    lr: Series = {}
    updates: Series = {}
    try:
        path = run.folder / "metrics.csv"
        epochs = {metric: dict(points) for metric, points in read_metrics(path).items()}
        lr = _learning_rate(read_metrics(path, by="step"))
    except _UNREADABLE as error:
        problems.append(f"no curves: {reason(error)}")
    try:
        updates = read_updates(run.folder / "updates.csv")
    except _UNREADABLE as error:
        problems.append(f"no update sizes: {reason(error)}")
    return History(epochs | compute(run, epochs), lr, updates, problems)


def compute(run: Run, epochs: dict[str, Series]) -> dict[str, Series]:
    """`pflop` by epochs done, as counted or, in runs that did not count, from what an image costs."""
    if "train/pflop" in epochs:
        return {"pflop": epochs["train/pflop"]}
    macs, images, count = (run.summary.numbers.get(key) for key in ("macs", "train_images", "epochs"))
    if not (macs and images and count):
        return {}
    each = images / count  # every epoch sees as many
    return {"pflop": {epoch: training_pflop(macs, each * epoch) for epoch in epochs.get("val/acc", {})}}


def _learning_rate(metrics: Mapping[str, Points]) -> Series:
    """By step, from the first of Lightning's columns: `lr-SGD`, or `lr-SGD/pg1` of several."""
    rates = (name for name in metrics if name.startswith("lr-") and not name.endswith("-momentum"))
    return dict(metrics.get(next(rates, ""), []))


def reason(error: Exception) -> str:
    """Why a file cannot be used, without where it lies: the run's folder is told beside it."""
    if isinstance(error, FileNotFoundError):
        return f"{Path(error.filename).name} is not there"
    return one_line(error)
