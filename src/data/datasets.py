"""Batches of a split, and the order in which training sees it."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from src.data.augment import Augment, normalize
from src.data.source import LabelledImages
from src.data.stats import Stats

Batch = tuple[Tensor, Tensor]  # images BCHW float32 in channels_last memory, labels B int64


def as_batch(images_bhwc: np.ndarray, labels: np.ndarray) -> Batch:
    """Arrays to tensors, without a copy: BHWC memory seen as BCHW is channels_last."""
    return torch.from_numpy(images_bhwc).permute(0, 3, 1, 2), torch.from_numpy(labels)


class TrainSet(Dataset[Batch]):
    """Augmented batches; asked for (epoch, index) pairs, so that no worker need know the epoch."""

    def __init__(self, data: LabelledImages, indices: np.ndarray, augment: Augment, seed: int) -> None:
        self.data, self.indices, self.augment, self.seed = data, indices, augment, seed

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, keys: Sequence[tuple[int, int] | int]) -> Batch:
        # Lightning's overfit_batches brings a sampler of its own, with plain indices.
        pairs = [(0, key) if isinstance(key, int) else key for key in keys]
        at = [int(self.indices[index]) for _, index in pairs]
        images = [
            self.augment(self.data.images[i], (self.seed, epoch, i))
            for i, (epoch, _) in zip(at, pairs, strict=True)
        ]
        return as_batch(np.stack(images), self.data.labels[at])


class EvalSet(Dataset[Batch]):
    """Normalized batches, never augmented, in the order of the data."""

    def __init__(self, data: LabelledImages, indices: np.ndarray, stats: Stats) -> None:
        self.data, self.indices, self.stats = data, indices, stats

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, keys: Sequence[int]) -> Batch:
        at = self.indices[list(keys)]
        images = np.stack([self.data.images[int(i)] for i in at])
        return as_batch(normalize(images, self.stats), self.data.labels[at])


def as_is(batch: Batch) -> Batch:
    """The datasets above batch by themselves; there is nothing to collate."""
    return batch


class EpochSampler(Sampler[tuple[int, int]]):
    """(epoch, index) pairs in an order that depends on (seed, epoch) alone.

    Lightning calls `set_epoch`. With several processes each takes every `world_size`-th pair of
    the same order, made divisible by starting over, so that all take equally many steps.
    """

    def __init__(self, length: int, *, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.length, self.seed, self.rank, self.world_size = length, seed, rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.length / self.world_size)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        padded = np.resize(order, len(self) * self.world_size)
        for index in padded[self.rank :: self.world_size]:
            yield self.epoch, int(index)
