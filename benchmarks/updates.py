"""What the weight-update monitor costs: `python -m benchmarks.updates`, a minute or two.

The network, batch and optimizer of `experiment=cpu` on random images, in one run: ten steps with one
measurement, ten without, and so on. Prints the ratio of the two, what it comes to at the default of one
measurement in fifty steps, and the time inside the monitor's hooks, which other processes blur less.
"""

import statistics
import tempfile
import time
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from src.callbacks.update_monitor import UpdateMonitor
from src.engine.classifier import Classifier
from src.engine.quiet import quiet
from src.models.resnet import ResNet
from src.optim.schedule import Schedule

STRETCH, PAIRS, BATCH, DEFAULT = 10, 5, 256, 50


class Switched(UpdateMonitor):
    """Looks once in every other stretch, and notes its own seconds and when each stretch starts."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder=folder, every_n_steps=2 * STRETCH)
        self.inside: list[float] = []
        self.starts: list[float] = []

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step % STRETCH == 0:
            self.starts.append(time.perf_counter())
            self.inside.append(0.0)

    def on_before_optimizer_step(self, trainer: L.Trainer, *args: Any) -> None:
        start = time.perf_counter()
        super().on_before_optimizer_step(trainer, *args)
        self.inside[-1] += time.perf_counter() - start

    def on_train_batch_end(self, *args: Any) -> None:
        start = time.perf_counter()
        super().on_train_batch_end(*args)
        self.inside[-1] += time.perf_counter() - start


def main() -> None:
    quiet()
    torch.manual_seed(0)
    steps = 2 * STRETCH * (PAIRS + 1) + 1  # the first pair warms up; one step more ends the last
    images = torch.randn(2 * STRETCH * BATCH, 3, 32, 32)
    loader = DataLoader(TensorDataset(images, torch.randint(10, (len(images),))), batch_size=BATCH)
    module = Classifier(
        net=ResNet(10, width=32, strides=(2, 2, 2, 2)),
        optimizer=lambda groups: torch.optim.SGD(
            groups, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.0005
        ),
        schedule=Schedule(factory=lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0), interval="epoch"),
        loss=nn.CrossEntropyLoss(),
    )
    with tempfile.TemporaryDirectory() as folder:
        monitor = Switched(folder)
        L.Trainer(
            max_steps=steps,
            accelerator="cpu",
            limit_val_batches=0,
            callbacks=[monitor],
            logger=TensorBoardLogger(folder),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(module, loader, loader)
    seconds = [after - before for before, after in zip(monitor.starts, monitor.starts[1:], strict=False)][2:]
    ratios = [seconds[i] / seconds[i + 1] for i in range(0, len(seconds), 2)]
    inside = statistics.median(monitor.inside[2:-1:2])
    middle = statistics.median(ratios)
    print(
        f"{STRETCH} steps, one of them measured: {middle:.4f} x those without "
        f"(median of {len(ratios)} pairs, {min(ratios):.4f} to {max(ratios):.4f}); "
        f"one in {DEFAULT}: {1 + (middle - 1) * STRETCH / DEFAULT:.4f}"
    )
    step = statistics.median(seconds[1::2]) / STRETCH
    print(
        f"its hooks: {inside:.3f} s, a step {step:.3f} s; 1 in {DEFAULT}: {inside / step / DEFAULT:.2%} more"
    )


if __name__ == "__main__":
    main()
