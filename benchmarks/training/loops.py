"""The loops themselves; `python -m benchmarks.training.loops <setting as JSON>` is one side.

Reads `<steps to skip> <steps to time>` from standard input, trains, and answers `<images> <seconds>`.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import lightning as L
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.training.sides import Setting
from src.config.build import build
from src.engine.machine import use
from src.notebook import compose, train_in

WARM_UP = 3  # steps


class Pace:
    """Called after each step; where a stretch ends, answers, and waits for the next."""

    def __init__(self, answers: TextIO) -> None:
        self.answers, self.left, self.skip, self.images, self.start = answers, WARM_UP, 0, 0, 0.0

    def step(self, num_images: int) -> None:
        if self.skip:
            self.skip -= 1
            self.start = time.perf_counter()
            return
        self.images += num_images
        self.left -= 1
        if self.left:
            return
        print(self.images, time.perf_counter() - self.start, file=self.answers, flush=True)
        words = sys.stdin.readline().split()
        if not words:
            os._exit(0)  # from the midst of whatever loop this is
        self.skip, self.left = map(int, words)
        self.images, self.start = 0, time.perf_counter()


class Beat(L.Callback):
    """The Trainer's way to the pace."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace

    def on_train_batch_end(self, *args: Any) -> None:
        self.pace.step(len(args[3][1]))


def trainer(setting: Setting, pace: Pace) -> None:
    """This bench: `src.train` with its callbacks and loggers."""
    folder = Path(os.environ["OUTPUT_DIR"], str(os.getpid()))
    folder.mkdir()
    train_in(folder, compose(*setting.overrides, "data.num_workers=0"), callbacks=[Beat(pace)], test=False)


def lean(setting: Setting, pace: Pace) -> None:
    """As little as a loop can do: no schedule, no metrics, no loader unless one is asked for."""
    cfg = compose(*setting.overrides, "data.num_workers=0", "paths.run_dir=.").cfg
    memory_format = torch.channels_last if setting.channels_last else torch.contiguous_format
    net = build(cfg.model).to(memory_format=memory_format)
    optimizer = build(cfg.optimizer)(net.parameters())
    forward = torch.compile(net) if setting.compile else net
    loss_of = nn.CrossEntropyLoss()
    for images, labels in endless(batches(setting, cfg)):
        with torch.autocast("cpu", torch.bfloat16, enabled=setting.bf16):
            loss = loss_of(forward(images.to(memory_format=memory_format)), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        pace.step(len(labels))


def course(setting: Setting, pace: Pace) -> None:
    """What courses teach: torchvision image by image in two workers, NCHW, numbers fetched at each step."""
    cfg = compose(*setting.overrides, "paths.run_dir=.").cfg
    net = build(cfg.model)
    optimizer, loss_of = build(cfg.optimizer)(net.parameters()), nn.CrossEntropyLoss()
    running_loss, correct, count = 0.0, 0, 0
    for images, labels in endless(torchvision_loader(cfg, num_workers=2)):
        optimizer.zero_grad()
        logits = net(images)
        loss = loss_of(logits, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item() * len(labels)
        correct += (logits.argmax(1) == labels).sum().item()
        count += len(labels)
        pace.step(len(labels))


def endless(loader: Iterable[Any]) -> Iterator[Any]:
    while True:
        yield from loader


def batches(setting: Setting, cfg: Any) -> Iterable[tuple[Tensor, Tensor]]:
    """An epoch, again and again."""
    if setting.loader == "torchvision":
        return torchvision_loader(cfg, num_workers=0)
    datamodule = build(cfg.data)
    datamodule.setup()
    loader = datamodule.train_dataloader()
    return loader if setting.loader == "bench" else Straight(loader)


class Straight:
    """The loader's batches without the loader."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.dataset: Any = loader.dataset
        self.sampler, self.size = loader.sampler, loader.batch_size or 1

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        keys = list(self.sampler)
        for start in range(0, len(keys), self.size):
            yield self.dataset.__getitems__(keys[start : start + self.size])


class PerSample(Dataset[Any]):
    """Flip and reflect-pad-4 crop of torchvision, as `augment=standard`."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, mean: Any, std: Any) -> None:
        self.images, self.labels = images, labels
        self.transform = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(),
                transforms.RandomCrop(32, padding=4, padding_mode="reflect"),
                transforms.ToTensor(),
                transforms.Normalize(mean, std),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def torchvision_loader(cfg: Any, *, num_workers: int) -> DataLoader[Any]:
    datamodule = build(cfg.data)
    datamodule.setup()
    data = PerSample(datamodule.source.train.images, datamodule.source.train.labels, *datamodule.stats)
    return DataLoader(
        data,
        batch_size=cfg.data.batch_size,
        shuffle=True,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
    )


def main() -> None:
    given = json.loads(sys.argv[1])
    setting = Setting(**given | {"overrides": tuple(given["overrides"])})
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the bench prints goes to the log
    if setting.loop != "trainer":  # whose configuration says so
        use(keep_memory=setting.keep_memory)
    torch.manual_seed(0)
    {"trainer": trainer, "lean": lean, "course": course}[setting.loop](setting, Pace(answers))


if __name__ == "__main__":
    main()
