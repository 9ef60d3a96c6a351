"""A sweep of four runs one after the other, and side by side, in turn on the same machine.

    python benchmarks/launchers.py [epochs [rounds]]

Prints the median wall seconds of each launcher, start-up included, its ratio to the first, and the
training seconds of one run. Wants a quiet machine: with the defaults (15 epochs, 3 rounds) some 15
minutes on two cores.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = ["data=digits", "model.width=16", "model.strides=[2,2,2,2]", "trainer.accelerator=cpu", "seed=0,1,2,3"]
RUNS += ["callbacks=training"]
LAUNCHERS = {
    "one after the other": [],
    "one after the other, no loading workers": ["data.num_workers=0"],
    "joblib": ["hydra/launcher=joblib"],
    "joblib, no loading workers": ["hydra/launcher=joblib", "data.num_workers=0"],
    "submitit_local": ["hydra/launcher=submitit_local"],
}


def sweep(arguments: list[str], epochs: int) -> tuple[float, float]:
    """Wall seconds of the whole command, and the mean of the runs' own training seconds."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "src.train", "-m", *RUNS, f"trainer.max_epochs={epochs}", *arguments],
            cwd=Path(__file__).parents[1],
            env=os.environ | {"OUTPUT_DIR": folder},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        seconds = time.perf_counter() - start
        summaries = [json.loads(path.read_text()) for path in Path(folder).glob("*/*/*/*/summary.json")]
    assert [facts["status"] for facts in summaries] == ["completed"] * 4
    return seconds, statistics.mean(facts["train_seconds"] for facts in summaries)


def main(epochs: int = 15, rounds: int = 3) -> None:
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in LAUNCHERS}
    for _ in range(rounds):
        for name, arguments in LAUNCHERS.items():
            taken[name].append(sweep(arguments, epochs))
    medians = {
        name: [statistics.median(one) for one in zip(*pairs, strict=True)] for name, pairs in taken.items()
    }
    reference, _ = medians["one after the other"]
    for name, (wall, training) in medians.items():
        print(f"{name:<42} {wall:6.1f} s, {wall / reference:4.2f} of it; training of a run {training:6.1f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
