"""Resuming in the folder of a run that was cut off: from its newest checkpoint, with nothing doubled."""

import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import torch

from src.runs.checkpoint_file import is_whole

# What a run adds to instead of writing it again
CURVES = ("metrics.csv", "updates.csv", "events.out.tfevents*")
GROWING = (*CURVES, "checkpoints/*", "traceback.txt")
NAMES = ("last", "best", "previous")


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint, and the number of optimizer steps until it."""

    path: Path
    step: int


def resume_point(run_dir: str | Path) -> ResumePoint | None:
    """Where a run in this folder continues: at the newest whole checkpoint; None if it did not get so far.

    That is `last.ckpt`. Where it is damaged, or a kill came while it was being replaced, `previous.ckpt` is
    the one before. `best.ckpt` is written before `last.ckpt`: where it is ahead, a kill came between
    the two, and it is the only one whose state knows of itself.

    Raises:
        ValueError: there are checkpoints to continue from, and all of them are damaged.
    """
    found = checkpoints(run_dir)
    if not {"last", "previous"} & found.keys():
        return None
    points = [ResumePoint(path, step) for path in found.values() if (step := steps(path)) is not None]
    if not points:
        raise ValueError(
            f"all checkpoints in {Path(run_dir) / 'checkpoints'} are damaged: nothing to resume from. "
            f"Remove that folder to begin again."
        )
    return max(points, key=lambda point: point.step)  # the first of equals


def damaged(run_dir: str | Path) -> list[Path]:
    """Checkpoints of a run that are not what was written."""
    return [path for path in checkpoints(run_dir).values() if steps(path) is None]


def checkpoints(run_dir: str | Path) -> dict[str, Path]:
    """The checkpoints in a run's folder, by their names without `.ckpt`."""
    paths = {name: Path(run_dir) / "checkpoints" / f"{name}.ckpt" for name in NAMES}
    return {name: path for name, path in paths.items() if path.is_file()}


def steps(path: Path) -> int | None:
    """Optimizer steps until a checkpoint, whose tensors stay on the disk; None: it is damaged."""
    if not is_whole(path):
        return None
    try:
        return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError):
        return None  # older than the sums, and broken


def to_disk(run_dir: Path) -> None:
    """Bring the curves so far to the disk: a checkpoint must not be ahead of them when the power fails."""
    for path in (path for pattern in CURVES for path in run_dir.glob(pattern)):
        with path.open("rb") as file:
            os.fsync(file.fileno())


def clear(run_dir: Path) -> None:
    """Remove what a run left that got to no checkpoint, so that it can begin again in the same folder."""
    for pattern in GROWING:
        for path in run_dir.glob(pattern):
            path.unlink()
