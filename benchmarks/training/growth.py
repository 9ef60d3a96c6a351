"""Does speed hold and memory stay where data, epochs and jobs grow?"""

import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning as L

from benchmarks.training.sides import ROOT
from benchmarks.training.table import Table
from src.notebook import compose, train_in
from src.runs.summary import read_summary

NARROW = ["experiment=cpu", "model.width=8", "callbacks=training", "data.num_workers=0"]
JOBS = 20
TINY = ["data=digits", "model.width=4", "model.strides=[2,2,2,2]", "trainer.max_epochs=1"]
TINY += ["trainer.accelerator=cpu", "data.num_workers=0"]


def resident(pid: int | str = "self") -> float:
    """MiB of memory that a process has; Linux."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def sizes(counts: tuple[int, ...] = (1000, 5000, 20000, 50000), rounds: int = 2) -> Table:
    """Images a second of one or several epochs, at least 5,000 images each."""
    found: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(rounds):
        for count in counts:
            epochs = max(2, 5000 // count)
            val = [f"data.num_val={50000 - count}", "trainer.limit_val_batches=0"]
            with tempfile.TemporaryDirectory() as folder:
                train_in(Path(folder), compose(*NARROW, *val, f"trainer.max_epochs={epochs}"), test=False)
                found[count].append(read_summary(folder)["images_per_second"])
    middle = {count: statistics.median(values) for count, values in found.items()}
    reference = middle[counts[-1]]
    return Table(
        "Speed by the number of training images",
        ("images", "images/s", "of the largest"),
        [(f"{n:,}", f"{rate:.0f}", f"{rate / reference:.2f}") for n, rate in middle.items()],
        f"`python -m benchmarks.training growth`. {' '.join(NARROW)}, without validation; medians of "
        f"{rounds} runs in turn. Aim: within 10 %.",
    )


class Memory(L.Callback):
    """Resident memory after each epoch."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_epoch_end(self, *_: Any) -> None:
        self.seen.append(resident())


def epochs(count: int = 20) -> Table:
    """Speed and memory of each epoch of one run."""
    memory = Memory()
    short = ["trainer.limit_train_batches=20", f"trainer.max_epochs={count}"]
    with tempfile.TemporaryDirectory() as folder:
        train_in(Path(folder), compose(*NARROW, *short), callbacks=[memory], test=False)
        with (Path(folder) / "metrics.csv").open(newline="") as file:
            speeds = [
                float(row["train/images_per_second"])
                for row in csv.DictReader(file)
                if row["train/images_per_second"]
            ]
    shown = [n for n in (1, 2, 3, 5, 10, 15, 20) if n <= count]
    return Table(
        "Speed and memory by epoch",
        ("epoch", "images/s", "MiB"),
        [(str(n), f"{speeds[n - 1]:.0f}", f"{memory.seen[n - 1]:.0f}") for n in shown],
        f"`python -m benchmarks.training growth`. {' '.join(NARROW + short)}. Aim: both flat.",
    )


def jobs(callbacks: str = "default", count: int = JOBS) -> Table:
    """A real sweep: when each job's summary says completed, and how large the process is then."""
    overrides = [*TINY, f"callbacks={callbacks}"]
    seeds = ",".join(map(str, range(count)))
    seen: dict[int, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "src.train", "-m", *overrides, f"seed={seeds}"],
            cwd=ROOT,
            env=os.environ | {"OUTPUT_DIR": folder},
            stdout=subprocess.DEVNULL,
        )
        start, spent = time.perf_counter(), []
        while process.poll() is None:
            for path in Path(folder).glob("*/multiruns/*/*/summary.json"):
                number = int(path.parent.name.split("_")[0])
                if number not in seen and read_summary(path.parent)["status"] == "completed":
                    seen[number] = time.perf_counter() - start, resident(process.pid)
                    spent.append(read_summary(path.parent)["train_seconds"])
            time.sleep(0.02)
    ends, sizes_seen = zip(*seen.values(), strict=True)
    beyond = [b - a - own for a, b, own in zip(ends, ends[1:], spent[1:], strict=False)]
    return Table(
        f"Twenty tiny jobs in one process, callbacks={callbacks}",
        ("", "seconds"),
        [
            ("the first job, with the command's start and imports", f"{ends[0]:.1f}"),
            ("a later job beyond its training, median", f"{statistics.median(beyond):.2f}"),
            ("its training", f"{statistics.median(spent):.2f}"),
            ("memory after job 3, MiB", f"{sizes_seen[2]:.0f}"),
            (f"memory after job {len(seen)}, MiB", f"{sizes_seen[-1]:.0f}"),
        ],
        f"`python -m benchmarks.training growth`. `python -m src.train -m {' '.join(overrides)} seed=0,…`; a "
        "job's seconds end where its summary.json says completed. Aim: 1 s, and 5 % more memory.",
    )
