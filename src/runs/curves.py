"""A run's curves: reading its `metrics.csv` and `updates.csv`, and a picture of them."""

import csv
from collections import defaultdict
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

Points = list[tuple[float, float]]  # (epochs done or step, value)
WHOLE = "all"  # the layer in updates.csv that stands for the whole network
COLORS = {"train": "#0072B2", "val": "#D55E00"}  # Okabe & Ito: distinct for the color-blind


def read_metrics(path: Path, *, by: Literal["epoch", "step"] = "epoch") -> dict[str, Points]:
    """Every metric of a `metrics.csv` as (epochs done, value) points, or as (step, value) points.

    Raises:
        OSError, ValueError, TypeError, csv.Error: the file is missing or damaged.
    """
    series: dict[str, Points] = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if not row.get(by):
                continue
            x = float(row[by]) + (by == "epoch")
            for key, value in row.items():
                if value and key not in ("epoch", "step"):
                    series[key].append((x, float(value)))
    return dict(series)


def read_updates(path: Path) -> dict[float, float]:
    """||dw|| / ||w|| of the whole network by step, from an `updates.csv`.

    Raises:
        OSError, ValueError, TypeError, KeyError, csv.Error: the file is missing or damaged.
    """
    with path.open(newline="", encoding="utf-8") as file:
        lines = [next(file, ""), *(line for line in file if f",{WHOLE}," in line)]  # few of many
    rows = csv.DictReader(lines)
    return {float(row["step"]): float(row["update"]) for row in rows if row["layer"] == WHOLE}


def draw_curves(run_dir: str | Path) -> Figure:
    """Loss and accuracy of training and validation by epoch, beside each other.

    Raises:
        FileNotFoundError: the folder holds no metrics.csv.
    """
    path = Path(run_dir) / "metrics.csv"
    if not path.is_file():
        raise FileNotFoundError(f"no metrics.csv in {Path(run_dir).resolve()}: is it a run's folder?")
    series = read_metrics(path)
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, (key, label) in zip(
        figure.subplots(1, 2), (("loss", "loss"), ("acc", "accuracy (%)")), strict=True
    ):
        scale = 100 if key == "acc" else 1
        for stage, color in COLORS.items():
            points = series.get(f"{stage}/{key}", [])
            axes.plot(
                [x for x, _ in points], [y * scale for _, y in points], "o-", ms=3, color=color, label=stage
            )
        axes.set(xlabel="epoch", ylabel=label)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(Path(run_dir).name)
    return figure
