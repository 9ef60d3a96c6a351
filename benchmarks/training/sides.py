"""Training loops that are compared, each in a process of its own that trains a stretch when it is told to.

Kept memory belongs to a process, and so do threads and loading workers: sides in processes do not touch each
other. All of them wait while one trains.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PREFETCHED = 4  # batches that two loading workers have ready before a stretch begins


@dataclass(frozen=True)
class Setting:
    """What a side is."""

    loop: str = "lean"  # trainer, lean, course: a function of loops.py
    overrides: tuple[
        str, ...
    ] = ()  # network, norm, data, augmentation; of the Trainer, callbacks and loggers
    channels_last: bool = True
    keep_memory: bool = True
    bf16: bool = False
    compile: bool = False
    loader: str = "none"  # of the lean loop: none (batches straight from the dataset), bench, torchvision


class Side:
    """A process that trains."""

    def __init__(self, setting: Setting, folder: str) -> None:
        self.skipped = PREFETCHED if setting.loop == "course" else 0
        self.log = Path(folder, f"{id(setting)}.log").open("w+")  # noqa: SIM115  # as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.training.loops", json.dumps(asdict(setting))],
            cwd=ROOT,
            env=os.environ | {"OUTPUT_DIR": folder, "NO_ALBUMENTATIONS_UPDATE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def answer(self) -> tuple[int, float]:
        """Images and seconds of the last stretch.

        Raises:
            RuntimeError: the process has ended.
        """
        assert self.process.stdout
        words = self.process.stdout.readline().split()
        if not words:
            self.log.seek(0)
            raise RuntimeError(f"a side has ended:\n{self.log.read()[-3000:]}")
        return int(words[0]), float(words[1])

    def train(self, steps: int) -> float:
        """Seconds a step; without those batches that were ready before."""
        assert self.process.stdin
        self.process.stdin.write(f"{self.skipped} {steps}\n")
        self.process.stdin.flush()
        _, seconds = self.answer()
        if self.skipped:
            time.sleep(1.0)  # its workers fill up again, and must not disturb the next side
        return seconds / steps

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.log.close()


def measure(settings: Mapping[str, Setting], *, steps: int, rounds: int) -> dict[str, list[float]]:
    """Seconds a step of each side, a number a round; the sides take turns, in an order that turns, too."""
    found: dict[str, list[float]] = {name: [] for name in settings}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sides = {}
        for name, setting in settings.items():
            sides[name] = Side(setting, folder)
            stack.callback(sides[name].close)
        for side in sides.values():
            side.answer()  # it has taken its first steps
        for turn in range(rounds):
            for name in rotated(list(sides), turn):
                found[name].append(sides[name].train(steps))
    return found


def rotated(names: list[str], turn: int) -> Iterator[str]:
    start = turn % len(names)
    yield from names[start:] + names[:start]
