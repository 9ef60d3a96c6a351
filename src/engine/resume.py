"""Going on in the folder of a run that was cut off: from its newest checkpoint, with nothing doubled."""

from dataclasses import dataclass
from pathlib import Path

import torch

# What a run adds to instead of writing it anew
GROWING = ("metrics.csv", "updates.csv", "events.out.tfevents*", "checkpoints/*", "traceback.txt")


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint, and the number of optimizer steps behind it."""

    path: Path
    step: int


def resume_point(run_dir: str | Path) -> ResumePoint | None:
    """Where a run in this folder goes on: at `last.ckpt`; None if it did not get so far.

    `best.ckpt` is written in front of `last.ckpt`. Where it is ahead, a kill came between the two: it is
    the newest, and the only one whose state knows of itself.
    """
    last, best = (Path(run_dir) / "checkpoints" / f"{name}.ckpt" for name in ("last", "best"))
    if not last.is_file():
        return None
    points = [ResumePoint(path, steps(path)) for path in (last, best) if path.is_file()]
    return max(points, key=lambda point: point.step)  # the first of equals


def steps(path: Path) -> int:
    """Optimizer steps behind a checkpoint; its tensors stay on the disk."""
    return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])


def clear(run_dir: Path) -> None:
    """Remove what a run left that got to no checkpoint, so that it can begin again in the same folder."""
    for pattern in GROWING:
        for path in run_dir.glob(pattern):
            path.unlink()
