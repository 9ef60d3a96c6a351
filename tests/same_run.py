"""Whether two run folders hold the same run, to the last bit of everything that is no time and no path."""

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from src.runs.summary import read_summary

TIMES = ("train/seconds", "train/images_per_second", "train_seconds", "images_per_second")
# In checkpoints: where a run lies, how long it took, and two notes that Lightning makes and never reads
PLACES = (
    *("hyper_parameters", "dirpath", "best_model_path", "kth_best_model_path", "last_model_path"),
    *("best_k_models", "seconds", "epoch_seconds", "current_score", "epoch_loop.scheduler_progress"),
)
FACTS = (
    "status",
    "epochs",
    "best_epoch",
    "val/acc",
    "val/loss",
    "test/acc",
    "test/loss",
    "pflop",
)
Row = dict[str, str]


def differences(got: Path, want: Path) -> list[str]:
    """What is not the same, in words; nothing if all is."""
    found = [f"{name}.ckpt: {one}" for name in ("best", "last") for one in checkpoints(got, want, name)]
    found += [f"{name}: {one}" for name in ("metrics.csv", "updates.csv") for one in tables(got, want, name)]
    ours, theirs = read_summary(got), read_summary(want)
    found += [f"summary.json: {key}" for key in (*FACTS, "train_images") if ours.get(key) != theirs.get(key)]
    ours, theirs = scalars(got), scalars(want)
    found += [f"events: {tag}" for tag in ours.keys() | theirs.keys() if ours.get(tag) != theirs.get(tag)]
    return found


def checkpoints(got: Path, want: Path, name: str) -> list[str]:
    return list(unequal(state(got, name), state(want, name)))


def state(folder: Path, name: str) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return checkpoint


def unequal(one: Any, other: Any, at: str = "") -> Iterator[str]:
    """Where two nested values differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in one.keys() | other.keys():
            if str(key) not in PLACES:
                yield from unequal(one.get(key), other.get(key), f"{at}/{key}")
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        for n, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from unequal(a, b, f"{at}/{n}")
    elif isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.dtype != other.dtype or not torch.equal(one, other):
            yield at
    elif one != other and not (isinstance(one, float) and math.isnan(one) and math.isnan(other)):
        yield f"{at} ({one!r}, not {other!r})"


def tables(got: Path, want: Path, name: str) -> list[str]:
    ours, theirs = rows(got / name), rows(want / name)
    if len(ours) != len(theirs):
        return [f"{len(ours)} rows, not {len(theirs)}"]
    return [f"row {n}: {a} is not {b}" for n, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]


def rows(path: Path) -> list[Row]:
    """A table's rows without its times."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """TensorBoard's curves without times, and without what a run's end writes for the tab of settings."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if tag not in TIMES and not tag.startswith("best/")
    }
