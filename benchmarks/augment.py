"""Images a second of one core: batched augmentation against albumentations and torchvision, side by side.

    python -m benchmarks.augment [<repeats> [<batch size>]]

Each pipeline through the same DataLoader, without loading processes, on images of CIFAR-10's size: the
batched ops, their albumentations twin, and what course code does with torchvision (crop, flip, ToTensor and
Normalize, one image at a time, whatever the pipeline). One thread; the ways take turns in every repeat.
Seconds are CPU time of the thread, which other processes blur less. The aim is 15 times albumentations and 10
times torchvision. Freed memory is kept, as training does. Larger batches share the cost of calling torch.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.training.table import Table
from src.config.build import build
from src.data.datasets import EpochSampler, TrainSet, as_is
from src.data.stats import Stats
from src.engine.machine import keep_freed_memory
from src.notebook import compose

PIPELINES = ("crop_rotate_cutout", "crop_flip_cutouts", "standard", "standard_cutout")
BATCH, REPEATS = 256, 7
NUM_IMAGES = {"batched": 10240, "albumentations": 1024, "torchvision": 1024}  # in a repeat
STATS = Stats((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
Loader = Callable[[int, int], DataLoader[Any]]


class Row(NamedTuple):
    """Images a second of one core, of one pipeline in one way; `ratio`: how many times the batched one is."""

    pipeline: str
    way: str
    median: float
    low: float
    high: float
    ratio: float


class PerSample(Dataset[tuple[torch.Tensor, int]]):
    """torchvision's CIFAR10 with the transforms of a course."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(*STATS),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def bench_loader(
    images: np.ndarray, labels: np.ndarray, augment: str, num_images: int, batch: int
) -> DataLoader[Any]:
    """This bench's batches of the first images with a pipeline of conf/augment."""
    bound = build(compose(f"augment={augment}").cfg.augment).bind(STATS)
    positions = np.arange(num_images)
    dataset = TrainSet(torch.from_numpy(images), torch.from_numpy(labels), positions, bound, seed=0)
    sampler = EpochSampler(num_images, seed=0)
    return DataLoader(dataset, batch_size=batch, sampler=sampler, collate_fn=as_is)  # type: ignore[arg-type]


def course_loader(images: np.ndarray, labels: np.ndarray, num_images: int, batch: int) -> DataLoader[Any]:
    return DataLoader(PerSample(images[:num_images], labels[:num_images]), batch_size=batch, shuffle=True)


def rate(loader: DataLoader[Any]) -> float:
    """Images a second of CPU time, of one pass."""
    start, count = time.thread_time(), 0
    for batch, _ in loader:
        count += len(batch)
    return count / (time.thread_time() - start)


def rows(pipelines: tuple[str, ...] = PIPELINES, repeats: int = REPEATS, batch: int = BATCH) -> Iterator[Row]:
    """Measure each pipeline, and yield a row for each way."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (max(NUM_IMAGES.values()), 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, len(images))
    keep_freed_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for pipeline in pipelines:
            make: dict[str, Loader] = {
                "batched": partial(bench_loader, images, labels, pipeline),
                "albumentations": partial(bench_loader, images, labels, f"albumentations_{pipeline}"),
                "torchvision": partial(course_loader, images, labels),
            }
            loaders = {way: make[way](NUM_IMAGES[way], batch) for way in make}
            for loader in loaders.values():
                rate(loader)  # warm up
            seen: dict[str, list[float]] = {way: [] for way in loaders}
            for _ in range(repeats):
                for way, loader in loaders.items():
                    seen[way].append(rate(loader))
            for way, rates in seen.items():
                ratio = statistics.median(b / r for b, r in zip(seen["batched"], rates, strict=True))
                yield Row(pipeline, way, statistics.median(rates), min(rates), max(rates), ratio)
    finally:
        torch.set_num_threads(threads)


def table(repeats: int = REPEATS, batch: int = BATCH) -> Table:
    """The rows under their heads."""
    return Table(
        f"Augmentation in batches of {batch:,}, images a second of one core",
        ("augment=", "way", "images/s", "the batched one is … times as fast"),
        [
            (
                row.pipeline,
                row.way,
                f"{row.median:,.0f} ({row.low:,.0f} to {row.high:,.0f})",
                f"{row.ratio:.1f}",
            )
            for row in rows(repeats=repeats, batch=batch)
        ],
        f"`python -m benchmarks.augment {repeats} {batch}`. One thread, CPU time; {repeats} rounds in "
        "turn: medians, lowest and highest. torchvision: crop, flip, ToTensor and Normalize, image by image, "
        "whatever the pipeline. Aim: 15 times albumentations, 10 times torchvision.",
    )


def main(repeats: int = REPEATS, batch: int = BATCH) -> None:
    print(f"{'augment=':<20}{'way':<16}{'images/s':>9}   {'lowest to highest':<20}batched is")
    for row in rows(repeats=repeats, batch=batch):
        spread = f"{row.low:,.0f} to {row.high:,.0f}"
        print(
            f"{row.pipeline:<20}{row.way:<16}{row.median:>9,.0f}   {spread:<20}{row.ratio:.1f} x", flush=True
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
