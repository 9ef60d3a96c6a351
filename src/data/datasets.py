"""Batches of a split, and the order in which training sees it."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from src.data.draws import Draws
from src.data.pipeline import Augment
from src.data.pixels import normalize
from src.data.source import Images
from src.data.stats import Stats

Batch = tuple[Tensor, Tensor]  # images BCHW float32 in channels_last memory, labels B int64
EPOCH = 1 << 32  # key of a training image: epoch * EPOCH + index, so that no worker need know the epoch


def as_batch(images_bhwc: Tensor, labels: Tensor) -> Batch:
    """Without a copy: BHWC memory seen as BCHW is channels_last."""
    return images_bhwc.permute(0, 3, 1, 2), labels


def _pick(images: Images | Tensor, at: Tensor) -> Tensor:
    """The images at these positions, (B, H, W, C) uint8: from memory, or read from their files."""
    if isinstance(images, Tensor):
        return images.index_select(0, at)
    return torch.from_numpy(np.stack([images[i] for i in at.tolist()]))


class TrainSet(Dataset[Batch]):
    """Augmented batches, where `images` and `labels` lie; the keys say for which epoch."""

    def __init__(
        self, images: Images | Tensor, labels: Tensor, indices: np.ndarray, augment: Augment, seed: int
    ) -> None:
        self.images, self.labels, self.indices = images, labels, indices
        self.augment, self.seed = augment, seed

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, keys: Sequence[int]) -> Batch:
        # Lightning's overfit_batches brings a sampler of its own; its plain indices are those of epoch 0
        epoch, index = np.divmod(np.asarray(keys), EPOCH)
        both = torch.from_numpy(np.stack([epoch, self.indices[index]]))
        epochs, at = both.to(self.labels.device, non_blocking=True)
        images = self.augment(_pick(self.images, at), Draws(self.seed, epochs, at))
        return as_batch(images, self.labels[at])


class EvalSet(Dataset[Batch]):
    """Normalized batches, never augmented, in the order of the data."""

    def __init__(self, images: Images | Tensor, labels: Tensor, indices: np.ndarray, stats: Stats) -> None:
        self.images, self.labels, self.indices, self.stats = images, labels, indices, stats

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, keys: Sequence[int]) -> Batch:
        at = torch.from_numpy(self.indices[np.asarray(keys)]).to(self.labels.device, non_blocking=True)
        return as_batch(normalize(_pick(self.images, at), self.stats), self.labels[at])


def as_is(batch: Batch) -> Batch:
    """The datasets above batch by themselves; there is nothing to collate."""
    return batch


class EpochSampler(Sampler[int]):
    """Keys of training images in an order that depends on (seed, epoch) alone.

    Lightning calls `set_epoch`. With several processes each takes every `world_size`-th key of
    the same order, made divisible by starting over, so that all take equally many steps.

    Args:
        done: how many of this process's keys the epoch has used already, because it was cut off there;
            asked for with the first key. The length stays that of a whole epoch.
    """

    def __init__(
        self,
        length: int,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        done: Callable[[], int] = lambda: 0,
    ) -> None:
        self.length, self.seed, self.rank, self.world_size = length, seed, rank, world_size
        self.done, self.epoch = done, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.length / self.world_size)

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        padded = np.resize(order, len(self) * self.world_size)
        keys = self.epoch * EPOCH + padded[self.rank :: self.world_size]
        return iter(keys[self.done() :].tolist())


class LateLoader(DataLoader[Batch]):
    """Begins an epoch, and its workers, when the first batch is asked for.

    Lightning asks for an iterator before it has read from a checkpoint which epoch is to continue, and where.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        yield from super().__iter__()
