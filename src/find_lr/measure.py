"""The learning rate range test on a composition: its network, loss, optimizer and training batches."""

import csv
import logging
import math
import warnings
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from matplotlib.figure import Figure
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from src.config.build import build
from src.drawing.charts import WIDTH, as_image
from src.drawing.sheet import ACTUAL, FAINT, PREDICTED, as_chw
from src.engine.quiet import quiet
from src.files import atomic_write
from src.find_lr.range_test import Suggestion, decay, learning_rates, range_test, smoothed, suggest
from src.models.cost import evaluating

log = logging.getLogger(__name__)

_MARGIN = 1.3  # the axis ends at the first smoothed loss times this, and starts at the lowest by it


class Sweep(NamedTuple):
    """The command's own settings."""

    low: float
    high: float
    steps: int
    mode: Any  # exponential or linear
    smoothing: float
    stop: float
    validate: int  # images
    skip_start: int  # steps
    skip_end: int


def find_lr(cfg: DictConfig, sweep: Sweep, *, show_progress: bool) -> Suggestion | None:
    """Run the test on what `cfg` names; leave curve, picture and TensorBoard's files in its run_dir.

    Raises:
        ValueError: the composition asks for something that the test cannot do.
    """
    quiet()
    build(cfg.machine)
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    datamodule, module = build(cfg.data), build(cfg.module)
    trainer = build(cfg.trainer, devices=1, strategy="auto", logger=False, enable_checkpointing=False)
    if trainer.precision == "16-mixed":
        raise ValueError("trainer.precision=16-mixed scales gradients, the test does not: use bf16-mixed.")
    datamodule.setup("fit")
    precision, device = trainer.precision_plugin, trainer.strategy.root_device
    module = precision.convert_module(module).to(device)
    optimizer = module.make_optimizer()

    def moved(batch: Any) -> Any:
        return module.transfer_batch_to_device(precision.convert_input(batch), device, 0)

    def loss_of(batch: Any) -> Any:
        with precision.forward_context():
            return _training_loss(module, moved(batch))

    held_out = [moved(batch) for batch in _validation_batches(datamodule, sweep.validate)]

    def validation_loss() -> float:
        """Plain cross-entropy, as `val/loss` is."""
        with torch.no_grad(), evaluating(module), precision.forward_context():
            total = sum(F.cross_entropy(module(x), labels, reduction="sum").item() for x, labels in held_out)
        return float(total / sum(len(labels) for _, labels in held_out))

    lrs = learning_rates(sweep.low, sweep.high, sweep.steps, sweep.mode)
    losses = range_test(
        loss_of,
        module,
        optimizer,
        tqdm(
            endless(datamodule.train_dataloader()),
            total=sweep.steps * trainer.accumulate_grad_batches,
            leave=False,
            disable=None if show_progress else True,  # None: no bar where there is no terminal
        ),
        lrs,
        smoothing=sweep.smoothing,
        stop=sweep.stop,
        accumulate=trainer.accumulate_grad_batches,
        clip=lambda: precision.clip_gradients(
            optimizer, trainer.gradient_clip_val or 0.0, trainer.gradient_clip_algorithm or "norm"
        ),
        look=validation_loss if held_out else None,
    )
    if not len(losses):
        raise ValueError("the loss is not finite at the very first step: look at the data and the network.")
    what = "validation" if held_out else "training"
    return conclude(lrs[: len(losses)], losses, sweep, Path(cfg.paths.run_dir), loss=what)


def _training_loss(module: Any, batch: Any) -> Any:
    """What the module minimizes, from its own training step: label smoothing, L1 and all."""
    with warnings.catch_warnings():
        # There is no trainer that could log, and nothing to log
        warnings.filterwarnings("ignore", message=r"You are trying to `self.log\(\)` but the `self.trainer`")
        return module.training_step(batch, 0)


def _validation_batches(datamodule: Any, count: int) -> list[tuple[Tensor, Tensor]]:
    """About `count` validation images, spread over all of them, with their labels; none for 0.

    Raises:
        ValueError: there are no validation images.
    """
    if not count:
        return []
    data, indices = datamodule.eval_data("val")
    if not len(indices):
        raise ValueError("there are no validation images: set data.num_val, or validate=0.")
    chosen = indices[:: math.ceil(len(indices) / count)]
    batches = np.array_split(chosen, math.ceil(len(chosen) / datamodule.batch_size))
    return [(datamodule.eval_inputs("val", at), torch.as_tensor(data.labels[at])) for at in batches]


def endless(loader: DataLoader[Any]) -> Iterator[Any]:
    """Training batches, epoch after epoch, in the order in which training sees them."""
    for epoch in count():
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        yield from loader


def conclude(lrs: np.ndarray, losses: np.ndarray, sweep: Sweep, out: Path, *, loss: str) -> Suggestion | None:
    """Suggest a rate from the `loss` before each step, both (n,), and leave the files in `out`."""
    smooth = smoothed(losses, decay(sweep.steps, sweep.smoothing))
    kept = slice(sweep.skip_start, max(0, len(losses) - sweep.skip_end))
    found = suggest(lrs[kept], losses[kept], steps=sweep.steps, smoothing=sweep.smoothing)
    scale = "log" if sweep.mode == "exponential" else "linear"
    figure = range_test_figure(lrs[kept], losses[kept], smooth[kept], found, scale=scale, loss=loss)
    report(out, lrs, losses, smooth, as_image(figure))
    in_last_window = (1 - 2 * sweep.smoothing) * sweep.steps - sweep.skip_start - sweep.skip_end
    if found and found.minimum_step >= in_last_window:
        log.info("the loss still falls at high=%g: raise high.", sweep.high)
    return found


def report(out: Path, lrs: np.ndarray, losses: np.ndarray, smooth: np.ndarray, picture: Image.Image) -> None:
    """Leave find_lr.csv, find_lr.png and TensorBoard's event files in `out`; arrays are (n,)."""
    with atomic_write(out / "find_lr.csv") as file:
        rows = csv.writer(file)
        rows.writerow(["step", "lr", "loss", "loss_smoothed"])
        rows.writerows(zip(range(len(lrs)), lrs.tolist(), losses.tolist(), smooth.tolist(), strict=True))
    with atomic_write(out / "find_lr.png", "wb") as file:
        picture.save(file, format="png")
    with SummaryWriter(str(out)) as board:
        for step, values in enumerate(zip(lrs, losses, smooth, strict=True)):
            for name, value in zip(("lr", "loss", "loss_smoothed"), values, strict=True):
                board.add_scalar(f"find_lr/{name}", value, step)
        board.add_image("find_lr/range_test", as_chw(picture), 0)


def range_test_figure(
    lrs: np.ndarray,
    losses: np.ndarray,
    smooth: np.ndarray,
    found: Suggestion | None,
    *,
    scale: str = "log",
    loss: str = "training",
) -> Figure:
    """A training or validation loss against the learning rate, raw and smoothed, and both suggestions.

    Arrays are (n,); `scale`, log or linear, is that of the axis of learning rates.
    """
    figure = Figure(figsize=(1.4 * WIDTH, WIDTH), layout="constrained")
    axes = figure.subplots()
    axes.plot(lrs, losses, ".", ms=3, color="#aaaaaa", label="a step's loss")
    axes.plot(lrs, smooth, color=ACTUAL, label="smoothed")
    if found:
        axes.axvline(found.minimum, color=PREDICTED, label=f"lowest loss: {found.minimum:.3g}")
        axes.axvline(found.steepest, color=FAINT, ls="--", label=f"steepest descent: {found.steepest:.3g}")
        axes.plot(found.minimum, smooth[found.minimum_step], "o", color=PREDICTED)
        axes.plot(found.steepest, smooth[found.steepest_step], "o", color=FAINT)
    axes.set(xscale=scale, xlabel="learning rate", ylabel=f"{loss} loss")
    if len(smooth):
        axes.set_ylim(smooth.min() / _MARGIN, _MARGIN * smooth[0])  # a loss that blows up would hide the rest
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    axes.set_title("learning rate range test")
    return figure
