"""The loss landscape around a run's weights, on its validation images."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from matplotlib.figure import Figure
from omegaconf import DictConfig
from torch import Tensor
from tqdm import tqdm

from src.config.build import build
from src.drawing.charts import WIDTH, as_image
from src.drawing.sheet import ACTUAL, PREDICTED, packed, save
from src.engine.loggers import replace_rows
from src.engine.quiet import quiet
from src.engine.weights import data_facts, load_checkpoint, load_weights
from src.landscape.line import Batch, Point, along, random_direction, straight_to

BATCH = 250  # images
_STATISTICS = 4  # training batches that BatchNorm's statistics are measured on, at each place


def landscape(
    cfg: DictConfig, checkpoint: Path, places: np.ndarray, *, to: Path | None, num_images: int, seed: int
) -> list[Point]:
    """Loss and accuracy along a random direction, or on the straight line to another checkpoint's weights.

    Args:
        cfg: configuration of the run; results go to its run_dir.
        checkpoint: the weights at place 0.
        places: multiples of the direction.
        to: the weights at place 1; None: a filter-normalized random direction.
        num_images: of the validation set, the first ones.
        seed: of the random direction.

    Raises:
        ValueError: a checkpoint is damaged, unsafe or of another network; the run has no validation images.
    """
    quiet()
    build(cfg.machine)
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    content = load_checkpoint(checkpoint)
    datamodule, net = build(cfg.data), build(cfg.model)
    datamodule.load_state_dict(data_facts(content, checkpoint))
    if not datamodule.has_val:
        raise ValueError(
            "the run has no validation images (data.num_val=0), and the test set is not for this."
        )
    load_weights(net, content, checkpoint)
    direction = random_direction(net, seed)
    if to:
        start = {name: value.clone() for name, value in net.state_dict().items()}
        load_weights(net, load_checkpoint(to), to)
        direction = straight_to(start, net.state_dict())
        net.load_state_dict(start)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    points = along(
        net.to(device, memory_format=torch.channels_last),
        direction,
        tqdm(places, leave=False, disable=None),  # None: no bar where there is no terminal
        batches=_val_batches(datamodule, num_images),
        statistics=train_images(datamodule),
    )
    report(Path(cfg.paths.run_dir), points, to=to)
    return points


def _val_batches(datamodule: Any, num_images: int) -> list[Batch]:
    data, indices = datamodule.eval_data("val")
    parts = np.array_split(indices[:num_images], max(1, min(num_images, len(indices)) // BATCH))
    return [
        (datamodule.eval_inputs("val", part), torch.from_numpy(data.labels[part]).long()) for part in parts
    ]


def train_images(datamodule: Any) -> list[Tensor]:
    """The first training batches, augmented as in training."""
    return [images for images, _ in islice(datamodule.train_dataloader(), _STATISTICS)]


def report(out: Path, points: Sequence[Point], *, to: Path | None) -> None:
    """Leave landscape.csv and landscape.png in `out`."""
    replace_rows(out / "landscape.csv", Point._fields, [point._asdict() for point in points])
    title, xlabel = (
        ("straight line between two runs' weights", "0: this run, 1: the other")
        if to
        else ("slice of the loss landscape", "filter-normalized random direction (1: as long as the weights)")
    )
    save(packed(as_image(_landscape_figure(points, xlabel=xlabel, title=title))), out, "landscape")


def _landscape_figure(points: Sequence[Point], *, xlabel: str, title: str) -> Figure:
    """Above the loss, below the accuracy, by place on the line; a log axis for losses over a decade."""
    places, losses = [point.place for point in points], [point.loss for point in points]
    figure = Figure(figsize=(1.2 * WIDTH, 1.2 * WIDTH), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    upper.plot(places, losses, ".-", color=PREDICTED)
    upper.set(yscale="log" if max(losses) > 10 * min(losses) else "linear", ylabel="validation loss (nats)")
    upper.set_title(title, fontsize=10)
    lower.plot(places, [100 * point.acc for point in points], ".-", color=ACTUAL)
    lower.set(xlabel=xlabel, ylabel="accuracy (%)")
    for axes in (upper, lower):
        axes.grid(alpha=0.3, which="both")
    return figure
