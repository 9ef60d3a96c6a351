"""Runs of all seeds as one variant, named by the fewest values that tell it from the others."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from src.compare.runs import Run
from src.config.groups import learned
from src.runs.summary import NAME as SUMMARY

SEEDS = ("seed", "data.seed")
ABSENT = "absent"  # the value of a key that a variant does not have


@dataclass(frozen=True)
class Variant:
    """Runs that differ in nothing but the seed.

    Args:
        values: what tells it from the other variants: `{"norm": "ln", "lr": 0.1}`.
        runs: all of them, by seed, and of one seed from old to new.
    """

    values: dict[str, Any]
    runs: list[Run]

    @property
    def name(self) -> str:
        """`norm=ln lr=0.1`; `all` where nothing varies."""
        return " ".join(f"{column}={brief(value)}" for column, value in self.values.items()) or "all"

    @property
    def counted(self) -> list[Run]:
        """The newest completed run of each seed, by seed: a repetition is no independent observation."""
        return list({run.summary.seed: run for run in self.runs if run.summary.completed}.values())

    @property
    def repeats(self) -> int:
        """How many completed runs are not counted."""
        return sum(run.summary.completed for run in self.runs) - len(self.counted)


def written(value: Any) -> str:
    """A value as it is typed on the command line."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def brief(value: Any) -> str:
    """The same, fractions with six digits."""
    return f"{value:.6g}" if isinstance(value, float) else written(value)


def group(runs: Sequence[Run]) -> tuple[list[str], list[Variant]]:
    """Collect the runs of all seeds, and find the columns that tell the variants apart.

    Columns are taken greedily: `experiment`, then the other chosen options, then single keys, those that
    somebody typed first; each only if it tells variants apart that the columns before it do not. So
    the learning rate that an optimizer brings along, or a key that repeats another, never is one.

    Returns:
        The columns' names, and the variants in the order in which their first runs come.
    """
    together: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        together[alike(run)].append(run)
    members = list(together.values())
    keys, values = _distinguishing(members)
    columns = short(keys)
    variants = [
        Variant(dict(zip(columns, row, strict=True)), sorted(group, key=age))
        for row, group in zip(values, members, strict=True)
    ]
    return columns, variants


def alike(run: Run) -> str:
    """Equal for two runs that differ in nothing but the seed."""
    return json.dumps({k: v for k, v in run.config.items() if k not in SEEDS}, sort_keys=True)


def age(run: Run) -> tuple[int, float, str]:
    """Runs of one seed stand together, from old to new."""
    path = run.folder / SUMMARY
    written_at = path.stat().st_mtime if path.is_file() else 0.0
    return (-1 if run.summary.seed is None else run.summary.seed, written_at, str(run.folder))


def _distinguishing(members: Sequence[list[Run]]) -> tuple[list[str], list[list[Any]]]:
    """The keys of the columns, and a row of their values for each group of runs."""
    keys: list[str] = []
    rows: list[list[Any]] = [[] for _ in members]
    for key, values in candidates(members):
        cells = [json.dumps(value) for value in values]
        before = [json.dumps(row) for row in rows]
        if len(set(zip(before, cells, strict=True))) > len(set(before)):
            keys.append(key)
            for row, value in zip(rows, values, strict=True):
                row.append(value)
    return keys, rows


def candidates(members: Sequence[list[Run]]) -> Iterator[tuple[str, list[Any]]]:
    """What may become a column, the best first: its key and its value for each group of runs."""
    for name in ("experiment", *learned()):  # whole recipes first
        chosen = [[run.summary.options.get(name, ABSENT) for run in group] for group in members]
        known = all(ABSENT not in options for options in chosen)
        if known and all(
            len({*map(written, options)}) == 1 for options in chosen
        ):  # else two ways led to the same
            yield name, [options[0] for options in chosen]
    configs = [_folded(group[0].config) for group in members]
    keys = list(dict.fromkeys(key for config in configs for key in config if key not in SEEDS))
    for key in sorted(keys, key=rank(members)):
        yield key, [config.get(key, ABSENT) for config in configs]


def rank(members: Sequence[list[Run]]) -> Callable[[str], tuple[bool, int]]:
    """The order of single keys: typed ones before those that follow; then as groups are declared."""
    typed = {
        str(override).partition("=")[0].lstrip("+")
        for group in members
        for override in group[0].summary.overrides
    }
    parts = ["seed", *learned()]
    place = {part: index for index, part in enumerate(parts)}
    return lambda key: (key not in typed, place.get(key.partition(".")[0], len(parts)))


def _folded(config: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of plain values whole again: `strides.0, strides.1` become `strides`."""
    whole: dict[str, Any] = {}
    for key, value in config.items():
        parent, _, last = key.rpartition(".")
        if last.isdecimal():
            whole.setdefault(parent, []).append(value)
        else:
            whole[key] = value
    return whole


def short(keys: Sequence[str]) -> list[str]:
    """The shortest endings of dotted keys that are names and stand for one key only: `lr`."""
    endings = {key: [key.split(".", k)[-1] for k in reversed(range(key.count(".") + 1))] for key in keys}
    count = Counter(ending for key in keys for ending in endings[key])
    return [
        next((e for e in endings[key] if count[e] == 1 and not e.startswith("_target_")), key) for key in keys
    ]
