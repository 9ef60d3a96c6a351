"""A table of results: printed here, kept in docs/speed_tables.md by whoever calls `tables`."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Table(NamedTuple):
    """Rows of words under a title, and a note on how they were found."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str

    def markdown(self) -> str:
        lines = [self.columns, ("---", *["---:"] * (len(self.columns) - 1)), *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"## {self.title}\n\n{table}\n\n{self.note}\n"


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Median, lowest and highest: `1.02 (0.99 to 1.05)`."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def ratios(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """Round by round: what disturbs the machine disturbs both."""
    return [a / b for a, b in zip(one, other, strict=True)]
