"""A hundred short runs in one process: does anything grow?

    python -m benchmarks.soak [<runs> [<callbacks>]]

A real sweep of tiny runs on the digits. Prints what every tenth run leaves behind, and ends with exit code 1
if after the fifth run memory grows by more than 5 %, open files or threads grow at all, or a Trainer,
network module or data module outlives its run. Reads /proc: Linux.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from benchmarks.training.growth import TINY, resident

ROOT = Path(__file__).parents[1]
SETTLED, MEMORY = 5, 1.05  # runs; what memory may grow to from there
ALIVE = ("Classifier", "Trainer", "ImageDataModule")


@dataclass(frozen=True)
class Left:
    """What a process has behind a run."""

    run: int
    mib: float
    files: int
    threads: int
    alive: int  # objects of the run's own that nothing should hold any more
    beyond: float  # seconds since the run before, without training


def open_files() -> int:
    """Without fonts: matplotlib opens one where a first label needs it, and keeps it, whatever the run."""
    links = list(Path("/proc/self/fd").iterdir())
    return sum(link.resolve().suffix != ".ttf" for link in links)


class Watch(Callback):
    """Writes a line of JSON after each job of a sweep: where the next one starts, or the sweep ends."""

    def __init__(self, path: str) -> None:
        self.path, self.since, self.run, self.own = Path(path), time.perf_counter(), 0, 0.0

    def on_job_end(self, config: DictConfig, job_return: Any, **kwargs: Any) -> None:
        summary = Path(config.hydra.runtime.output_dir) / "summary.json"
        self.own = json.loads(summary.read_text(encoding="utf-8"))["train_seconds"]
        self.run += 1

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        if self.run:
            self.measure()

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        self.measure()

    def measure(self) -> None:
        left = Left(
            run=self.run,
            mib=resident(),
            files=open_files(),
            threads=sum(1 for _ in Path("/proc/self/task").iterdir()),
            alive=sum(type(thing).__name__ in ALIVE for thing in gc.get_objects()),
            beyond=time.perf_counter() - self.since - self.own,
        )
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(left)) + "\n")
        self.since = time.perf_counter()


def soak(runs: int, *overrides: str) -> list[Left]:
    """Train so often in one process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "left.jsonl"
        watch = f"+hydra.callbacks.watch={{_target_: benchmarks.soak.Watch, path: '{path}'}}"
        seeds = "seed=" + ",".join(map(str, range(runs)))
        subprocess.run(
            [sys.executable, "-m", "src.train", "-m", *TINY, *overrides, seeds, watch],
            cwd=ROOT,
            env=os.environ | {"OUTPUT_DIR": folder},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return [Left(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def growth(seen: list[Left]) -> list[str]:
    """What grows after the run that is `SETTLED`, in words."""
    first, *later = seen[SETTLED - 1 :]
    found = []
    if (most := max(left.mib for left in later)) > MEMORY * first.mib:
        found.append(f"memory grows from {first.mib:.0f} to {most:.0f} MiB")
    for name in ("files", "threads"):
        if (highest := max(getattr(left, name) for left in later)) > getattr(first, name):
            found.append(f"{name} grow from {getattr(first, name)} to {highest}")
    if any(left.alive for left in seen):
        found.append(f"{max(left.alive for left in seen)} of {', '.join(ALIVE)} outlive their run")
    return found


def main(runs: int = 100, callbacks: str = "training") -> int:
    """The command; returns its exit code."""
    if runs <= SETTLED:
        sys.exit(f"error: {runs} runs tell nothing: ask for more than {SETTLED}.")
    seen = soak(runs, f"callbacks={callbacks}")
    print(" run     MiB  files  threads  alive  s beyond training")
    for left in seen:
        if left.run in (1, SETTLED, runs) or left.run % 10 == 0:
            print(
                f"{left.run:4d}  {left.mib:6.0f}  {left.files:5d}  {left.threads:7d}  {left.alive:5d}  "
                f"{left.beyond:7.2f}"
            )
    found = growth(seen)
    print("\n".join(found) or f"nothing grows after run {SETTLED}")
    return 1 if found else 0


if __name__ == "__main__":
    given = sys.argv[1:3]
    sys.exit(main(int(given[0]), *given[1:]) if given else main())
