"""Several runs of the same thing as one line: their mean, and the band from the lowest to the highest."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import NamedTuple

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
