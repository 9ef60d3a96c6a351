"""Runs for TensorBoard that are the means of a variant's seeds, so that one line stands for each variant."""

import csv
import io
import logging
import math
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from src.compare.variants import Variant, brief
from src.config.resolvers import run_name
from src.runs.table import shown

log = logging.getLogger(__name__)

FOLDER = "mean"
SUFFIX = ".mean"  # of our event files: no others are ever removed
MAX_POINTS = 200  # of a curve: those logged every few steps are thinned
CHARTS = {  # whose spread is drawn
    "val/acc": "validation accuracy",
    "val/loss": "validation loss",
    "train/acc": "training accuracy",
    "train/loss": "training loss",
}
LAYOUT = {  # TensorBoard shows a category's last margin chart first
    "mean and standard deviation over seeds": {
        title: ["Margin", [tag, f"within_sd/{tag}/low", f"within_sd/{tag}/high"]]
        for tag, title in reversed(CHARTS.items())
    },
    "optimizer": {"learning rate": ["Multiline", ["lr-[^-]*$"]]},
}

Curves = dict[str, dict[int, float]]  # tag -> step -> value


def write_mean_runs(variants: Sequence[Variant], out: Path) -> Path:
    """Write `<out>/mean/<variant>/events…` again for each variant with completed runs; returns `<out>/mean`.

    A point is the mean over the newest completed run of each seed, at the steps that all of them have logged.
    The page Custom scalars shows a band of one standard deviation of the seeds (n - 1) to each side, of no
    width where there is one seed.
    """
    folder = out / FOLDER
    old = list(folder.glob(f"*/events.*{SUFFIX}"))
    for name, variant in named(variants):
        histories = [curves for run in variant.counted if (curves := read_curves(run.folder))]
        if histories:
            write_events(folder / name, with_bands(histories))
    for path in old:
        path.unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    return folder


def named(variants: Sequence[Variant]) -> Iterator[tuple[str, Variant]]:
    """Each variant with a folder's name of its own."""
    taken: dict[str, int] = defaultdict(int)
    for variant in variants:
        values = variant.values.items()
        name = run_name(",".join(f"{key}={brief(value)}" for key, value in values)) if values else "all"
        taken[name] += 1
        yield name if taken[name] == 1 else f"{name}-{taken[name]}", variant


def read_curves(run_dir: Path) -> Curves:
    """What a run's metrics.csv says, by step; empty where there is none that can be read."""
    path = run_dir / "metrics.csv"
    curves: Curves = defaultdict(dict)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            tags = next(rows, [])
            columns = [(k, curves[tag]) for k, tag in enumerate(tags) if tag not in ("step", "epoch")]
            for row in rows:
                step = int(row[tags.index("step")])
                for k, points in columns:
                    if row[k]:
                        points[step] = float(row[k])
    except FileNotFoundError:  # logger=none
        return {}
    except (OSError, ValueError, IndexError, csv.Error) as error:
        log.warning("left out of the mean runs: %s: %s", shown(path), error)
        return {}
    return dict(curves)


def with_bands(histories: Sequence[Curves]) -> Curves:
    """Means over runs, and what lies a standard deviation below and above, where all runs have a value."""
    curves: Curves = {}
    for tag in set.intersection(*(set(history) for history in histories)):
        common = set.intersection(*(set(history[tag]) for history in histories))
        steps = sorted(common, reverse=True)[:: math.ceil(len(common) / MAX_POINTS) or 1]  # the last stays
        values = np.array([[history[tag][step] for step in steps] for history in histories])
        mean = values.mean(axis=0)
        curves[tag] = dict(zip(steps, mean.tolist(), strict=True))
        if tag in CHARTS:
            spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros_like(mean)
            curves[f"within_sd/{tag}/low"] = dict(zip(steps, (mean - spread).tolist(), strict=True))
            curves[f"within_sd/{tag}/high"] = dict(zip(steps, (mean + spread).tolist(), strict=True))
    return curves


def write_events(folder: Path, curves: Mapping[str, Mapping[int, float]]) -> None:
    """One event file with these scalars, and a layout for the page Custom scalars."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter
    from torch.utils.tensorboard.summary import custom_scalars

    by_step = defaultdict(list)
    for tag, points in sorted(curves.items()):
        for step, value in points.items():
            by_step[step].append(Summary.Value(tag=tag, simple_value=value))
    now = time.time()
    content = io.BytesIO()
    records = RecordWriter(content)  # SummaryWriter's thread takes three times as long
    records.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
    layout = custom_scalars(LAYOUT)  # type: ignore[no-untyped-call]
    records.write(Event(wall_time=now, summary=layout).SerializeToString())
    for step, values in sorted(by_step.items()):
        event = Event(wall_time=now, step=step, summary=Summary(value=values))
        records.write(event.SerializeToString())
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{os.getpid()}.tmp"
    temporary.write_bytes(content.getvalue())
    temporary.replace(
        folder / f"events.out.tfevents.{time.time_ns()}{SUFFIX}"
    )  # a new name: it is read again
