"""From CIFAR-10's files to the first training batch: where the time goes.

    DATA_ROOT=<folder> python -m benchmarks.loading [<repeats>]

Each part in the order in which it happens, then the data module's whole way, without the statistics' cache
and with it: seconds and CPU seconds, medians. Imports are left out, and the first pass warms the file cache.
The aim is 1 s on an idle machine.
"""

import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sklearn.model_selection  # noqa: F401  # imports are no part of the measurement

from benchmarks.training.table import Table
from src.config.build import build
from src.data.cifar import DATASETS, labelled, read_files, unpickled
from src.data.split import stratified_split
from src.data.stats import channel_stats
from src.notebook import compose

T = TypeVar("T")
times: dict[str, list[tuple[float, float]]] = defaultdict(list)


def timed(name: str, part: Callable[[], T]) -> T:
    start, cpu = time.perf_counter(), time.process_time()
    result = part()
    times[name].append((time.perf_counter() - start, time.process_time() - cpu))
    return result


def parts(root: Path) -> None:
    dataset = DATASETS["cifar10"]
    contents = timed("read the files, md5", lambda: read_files(dataset, root))
    files = timed(
        "unpickle", lambda: {name: unpickled(name, c) for name, c in contents.items() if c is not None}
    )
    train, _ = timed(
        "planes to pixels",
        lambda: [labelled([files[n] for n, _ in part]) for part in (dataset.train_list, dataset.test_list)],
    )
    timed("mean and standard deviation", lambda: channel_stats(train.images))
    timed("stratified split", lambda: stratified_split(train.labels, 5000, seed=0))


def whole(name: str, cfg: object) -> None:
    def first_batch() -> None:
        datamodule = build(cfg)  # type: ignore[arg-type]
        datamodule.setup()
        next(iter(datamodule.train_dataloader()))

    timed(name, first_batch)


def measure(repeats: int = 5) -> list[tuple[str, float, float]]:
    """(part, seconds, seconds of CPU time), medians."""
    times.clear()
    with tempfile.TemporaryDirectory() as cache:
        cfg = compose("data=cifar10", "data.download=false", f"paths.cache_dir='{cache}'").cfg.data
        for _ in range(repeats + 1):
            parts(Path(cfg.root))
            for file in Path(cache).rglob("*.json"):
                file.unlink()
            whole("files to first batch, no cache", cfg)
            whole("files to first batch, cached", cfg)
    found = []
    for name, seen in times.items():
        wall, cpu = (statistics.median(values) for values in zip(*seen[1:], strict=True))
        found.append((name, wall, cpu))
    return found


def table(repeats: int = 5) -> Table:
    return Table(
        "From CIFAR-10's files to the first training batch",
        ("part", "seconds", "of CPU"),
        [(name, f"{wall:.3f}", f"{cpu:.3f}") for name, wall, cpu in measure(repeats)],
        f"`python -m benchmarks.loading`. Medians of {repeats}, files in the system's cache, imports left "
        "out. Aim: 1 s.",
    )


def main(repeats: int = 5) -> None:
    for name, wall, cpu in measure(repeats):
        print(f"{name:<34}{wall:6.3f} s   {cpu:6.3f} s of CPU")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
