"""The learning rate range test on a composition: its network, loss, optimizer and training batches."""

import csv
import logging
import warnings
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np
from omegaconf import DictConfig
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from src.config.build import build
from src.config.whole_file import whole_file
from src.drawing.charts import as_image
from src.drawing.range_test import range_test_figure
from src.drawing.sheet import as_chw
from src.engine.quiet import quiet
from src.optim.range_test import Suggestion, decay, learning_rates, range_test, smoothed, suggest

if TYPE_CHECKING:
    from src.find_lr import Sweep

log = logging.getLogger(__name__)


def find_lr(cfg: DictConfig, sweep: "Sweep", *, show_progress: bool) -> Suggestion | None:
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

    def loss_of(batch: Any) -> Any:
        batch = module.transfer_batch_to_device(precision.convert_input(batch), device, 0)
        with precision.forward_context():
            return training_loss(module, batch)

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
    )
    if not len(losses):
        raise ValueError("the loss is not finite at the very first step: look at the data and the network.")
    found = suggest(lrs, losses, steps=sweep.steps, smoothing=sweep.smoothing)
    report(
        Path(cfg.paths.run_dir),
        lrs[: len(losses)],
        losses,
        smoothed(losses, decay(sweep.steps, sweep.smoothing)),
        found,
    )
    if found and found.minimum_step >= (1 - 2 * sweep.smoothing) * sweep.steps:  # in the median's last window
        log.info("the loss still falls at high=%g: raise high.", sweep.high)
    return found


def training_loss(module: Any, batch: Any) -> Any:
    """What the module minimizes, from its own training step: label smoothing, L1 and all."""
    with warnings.catch_warnings():
        # There is no trainer that could log, and nothing to log
        warnings.filterwarnings("ignore", message=r"You are trying to `self.log\(\)` but the `self.trainer`")
        return module.training_step(batch, 0)


def endless(loader: DataLoader[Any]) -> Iterator[Any]:
    """Training batches, epoch after epoch, in the order in which training sees them."""
    for epoch in count():
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        yield from loader


def report(
    out: Path,
    lrs: np.ndarray,
    losses: np.ndarray,
    smooth: np.ndarray,
    found: Suggestion | None,
) -> None:
    """Leave find_lr.csv, find_lr.png and TensorBoard's event files in `out`; arrays are (n,)."""
    with whole_file(out / "find_lr.csv") as file:
        rows = csv.writer(file)
        rows.writerow(["step", "lr", "loss", "loss_smoothed"])
        rows.writerows(zip(range(len(lrs)), lrs.tolist(), losses.tolist(), smooth.tolist(), strict=True))
    picture = as_image(range_test_figure(lrs, losses, smooth, found))
    with whole_file(out / "find_lr.png", "wb") as file:
        picture.save(file, format="png")
    with SummaryWriter(str(out)) as board:
        for step, values in enumerate(zip(lrs, losses, smooth, strict=True)):
            for name, value in zip(("lr", "loss", "loss_smoothed"), values, strict=True):
                board.add_scalar(f"find_lr/{name}", value, step)
        board.add_image("find_lr/range_test", as_chw(picture), 0)
