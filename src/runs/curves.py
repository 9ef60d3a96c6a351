"""A run's curves from its `metrics.csv`."""

import csv
from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure

Series = dict[str, list[tuple[float, float]]]  # metric -> (epoch, value) points
COLORS = {"train": "#0072B2", "val": "#D55E00"}  # Okabe & Ito: distinct for the color-blind


def read_metrics(path: Path) -> Series:
    """Every metric of a `metrics.csv` as (epochs done, value) points."""
    series: Series = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for key, value in row.items():
                if value and key not in ("epoch", "step") and row.get("epoch"):
                    series[key].append((float(row["epoch"]) + 1, float(value)))
    return dict(series)


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
