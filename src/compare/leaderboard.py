"""Variants in the order of their validation accuracy, and how sure that order is."""

import csv
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.compare.runs import Run
from src.compare.statistics import Estimate, estimate, holm, paired_p
from src.compare.variants import Variant, group
from src.runs.curves import read_updates

ALPHA = 0.05
_UPDATES = "updates.csv"


@dataclass(frozen=True)
class Row:
    """A variant's numbers over the newest completed run of each seed; accuracies are fractions.

    Args:
        variant: what varies, and all of its runs.
        rank: 1 is the best mean validation accuracy; None without validation, or with no completed run.
        val_acc: validation accuracy at each run's best epoch.
        test_acc: test accuracy of the weights of that epoch; chooses nothing.
        best: the run with the highest validation accuracy.
        numbers: means over the runs of other numbers of their summaries, where they have them.
        update: median of the runs' settled relative updates of the whole network, ||dw|| / ||w||.
        p: of the paired test against the leader on validation accuracy, Holm corrected; None if fewer than
            two seeds are shared, and of the leader itself.
    """

    variant: Variant
    rank: int | None
    val_acc: Estimate | None
    test_acc: Estimate | None
    best: Run | None
    numbers: Mapping[str, float]
    update: float | None
    p: float | None

    @property
    def n(self) -> int:
        """The number of seeds that are completed."""
        return len(self.variant.counted)

    @property
    def within_noise(self) -> bool | None:
        """Whether the test sees no difference from the leader; None where there is no test."""
        return None if self.p is None else self.p >= ALPHA

    @property
    def failures(self) -> list[str]:
        """`seed 2: out of memory`, one for each failed run."""
        return [
            f"seed {run.summary.seed}: {run.summary.failure}"
            for run in self.variant.runs
            if run.summary.failure is not None
        ]

    @property
    def running(self) -> int:
        """Runs that are neither completed nor failed: under way, or killed."""
        return sum(not run.summary.completed and run.summary.failure is None for run in self.variant.runs)


@dataclass(frozen=True)
class Leaderboard:
    """Ranked rows first, then those that cannot be ranked; `columns` are the names of what varies."""

    columns: list[str]
    rows: list[Row]

    @property
    def comparisons(self) -> int:
        """How many variants were tested against the leader."""
        return sum(row.p is not None for row in self.rows)


NUMBERS = ("val/loss", "test/loss", "test/ece", "train_seconds", "images_per_second", "num_params", "macs")


def leaderboard(runs: Sequence[Run]) -> Leaderboard:
    """Group runs into variants and rank these by mean validation accuracy.

    The leader is tested against every other variant; see `src.compare.statistics`.
    """
    columns, variants = group(runs)
    scores = [_by_seed(variant, "val/acc") for variant in variants]
    ranked = [index for index, values in enumerate(scores) if values]
    ranked.sort(key=lambda index: -statistics.fmean(scores[index].values()))
    leader = scores[ranked[0]] if ranked else {}
    p_values = [None, *holm([paired_p(leader, scores[index]) for index in ranked[1:]])]
    places = {index: (rank, p) for rank, (index, p) in enumerate(zip(ranked, p_values, strict=False), 1)}
    others = [index for index in range(len(variants)) if index not in places]
    return Leaderboard(
        columns, [row(variants[index], *places.get(index, (None, None))) for index in ranked + others]
    )


def row(variant: Variant, rank: int | None, p: float | None) -> Row:
    """A variant's numbers, at the place that it has."""
    val_acc = _by_seed(variant, "val/acc")
    best = max(val_acc, key=lambda seed: val_acc[seed], default=None)
    numbers = {key: list(_by_seed(variant, key).values()) for key in NUMBERS}
    updates = [update for run in variant.counted if (update := _settled_update(run.folder)) is not None]
    return Row(
        variant,
        rank,
        estimate(list(val_acc.values())),
        estimate(list(_by_seed(variant, "test/acc").values())),
        next((run for run in variant.counted if val_acc and run.summary.seed == best), None),
        {key: statistics.fmean(values) for key, values in numbers.items() if values},
        statistics.median(updates) if updates else None,
        p,
    )


def _by_seed(variant: Variant, key: str) -> dict[int, float]:
    """Seed -> a number of the counted run's summary, where it has one."""
    return {
        run.summary.seed: value
        for run in variant.counted
        if run.summary.seed is not None and (value := run.summary.numbers.get(key)) is not None
    }


def _settled_update(folder: Path) -> float | None:
    """The whole network's relative update in the last quarter of a run; None where it was not measured."""
    from src.metrics.updates import settled

    try:
        values = list(read_updates(folder / _UPDATES).values())
    except (OSError, ValueError, KeyError, TypeError, csv.Error):  # none, half-written or damaged
        return None
    value = settled(values) if values else math.nan
    return value if math.isfinite(value) else None
