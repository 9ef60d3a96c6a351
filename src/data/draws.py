"""Random numbers by counting: each is a hash of what it is for, so nothing depends on the order of asking.

The hash is the output function of SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195), for a
whole batch at once in int64 arithmetic, which wraps around, on any device.

Shapes: B images of a batch.
"""

from functools import cached_property

import torch
from torch import Tensor

GAMMA = 0x9E3779B97F4A7C15 - 2**64  # 2^64 / golden ratio, odd: steps that never meet
MIX_1, MIX_2 = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64
_PER_OP = 1 << 16  # more than an op draws for an image


def mix(state: Tensor) -> Tensor:
    """One-to-one on int64; each bit of the input changes each bit of the output half of the time."""
    state = (state ^ shifted(state, 30)) * MIX_1
    state = (state ^ shifted(state, 27)) * MIX_2
    return state ^ shifted(state, 31)


def shifted(state: Tensor, bits: int) -> Tensor:
    """Logical shift to the right: torch's own copies the sign."""
    return (state >> bits) & ((1 << (64 - bits)) - 1)


class Draws:
    """What one op of a pipeline draws for the images of a batch.

    A number depends on (seed, epoch, image, op, its place among the op's) and on nothing else: not on the
    batch, the process or what was drawn before.

    Args:
        seed: 0 <= seed < 2^32.
        epoch: (B,) int64, the epoch that each image is drawn for.
        image: (B,) int64, each image's position in the dataset.
        op: position of the op in its pipeline.
    """

    def __init__(self, seed: int, epoch: Tensor, image: Tensor, op: int = 0) -> None:
        self.seed, self.epoch, self.image, self.op = seed, epoch, image, op

    def of(self, op: int) -> "Draws":
        """The same images' draws for another op."""
        other = Draws(self.seed, self.epoch, self.image, op)
        other.by_image, other.by_epoch = self.by_image, self.by_epoch  # hashed once a batch
        return other

    @cached_property
    def by_image(self) -> Tensor:
        return mix(self.image * GAMMA + self.seed)

    @cached_property
    def by_epoch(self) -> Tensor:
        return mix(self.by_image + (self.epoch + 1) * GAMMA)

    def uniform(self, count: int) -> Tensor:
        """(count, B) float32, each a multiple of 2^-24 in [0, 1)."""
        return self.hashed(self.by_epoch, count)

    def uniform_for_all_epochs(self, count: int) -> Tensor:
        """As `uniform`, but the same in every epoch."""
        return self.hashed(self.by_image, count)

    def hashed(self, state: Tensor, count: int) -> Tensor:
        first = self.op * _PER_OP + 1
        places = torch.arange(first, first + count, device=state.device)
        return shifted(mix(state + (places * GAMMA)[:, None]), 40).to(torch.float32) * 2.0**-24


def integers(uniform: Tensor, low: int, high: int | Tensor) -> Tensor:
    """Uniform numbers in [0, 1) as whole numbers from `low` to `high`, both included (int64)."""
    return (uniform * (high - low + 1)).long() + low
