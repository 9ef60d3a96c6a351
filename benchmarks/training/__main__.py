"""How fast training is, and where its time goes.

    DATA_ROOT=<folder> python -m benchmarks.training [<table> …]

Prints the named ones of race, overhead, levers, boundaries, growth and compile, or all but the last; wants
CIFAR-10 and a quiet machine.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from benchmarks.training.boundaries import boundaries
from benchmarks.training.growth import epochs, jobs, sizes
from benchmarks.training.levers import compiled, levers
from benchmarks.training.overhead import overhead
from benchmarks.training.race import SMALL, race
from benchmarks.training.table import Table

TABLES: dict[str, list[Callable[[], Table]]] = {
    "race": [race, partial(race, SMALL)],
    "overhead": [overhead],
    "levers": [partial(levers, "bn"), partial(levers, "ln")],
    "boundaries": [boundaries],
    "growth": [sizes, epochs, jobs, partial(jobs, "training")],
    "compile": [partial(compiled, "bn")],
}
BY_ITSELF = ("compile",)  # takes minutes to begin


def tables(names: Sequence[str] = ()) -> Iterator[Table]:
    """The named tables, each when it is ready; all of them if none is named."""
    for name in names or [name for name in TABLES if name not in BY_ITSELF]:
        for make in TABLES[name]:
            yield make()


def main() -> None:
    if unknown := set(sys.argv[1:]) - TABLES.keys():
        sys.exit(f"error: no table {', '.join(sorted(unknown))}. Valid: {', '.join(TABLES)}.")
    for table in tables(sys.argv[1:]):
        print(table.markdown(), flush=True)


if __name__ == "__main__":
    main()
