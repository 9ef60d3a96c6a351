"""Augmentation of whole batches: a draw for each image, and no Python for each image.

The ops are named after the albumentations transforms that they repeat, and draw from the same distributions;
`src.data.pixels` does the work. Shapes: B images, H and W of an image, C channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from src.data import pixels
from src.data.draws import Draws, integers
from src.data.pipeline import PixelOp, ValueOp
from src.data.pixels import View
from src.data.stats import Stats


class BatchedPipeline:
    """Ops on uint8 pixels, then normalization, then ops on normalized values.

    On normalized values 0 is the mean of the data, so `fill: 0` there cuts out to the mean.
    """

    batched = True

    def __init__(self, pixels: Sequence[PixelOp] = (), normalized: Sequence[ValueOp] = ()) -> None:
        self.pixels, self.normalized = list(pixels), list(normalized)

    def bind(self, stats: Stats) -> "BatchedAugment":
        """Complete the pipeline with the data's mean and standard deviation."""
        return BatchedAugment(self.pixels, self.normalized, stats)


class BatchedAugment:
    """The same for an image whatever batch it is in."""

    def __init__(self, pixel_ops: Sequence[PixelOp], value_ops: Sequence[ValueOp], stats: Stats) -> None:
        self.pixel_ops, self.value_ops, self.stats = pixel_ops, value_ops, stats

    def __call__(self, images_bhwc: Tensor, draws: Draws) -> Tensor:
        if self.pixel_ops:
            view = View.whole(images_bhwc)
            for position, op in enumerate(self.pixel_ops):
                view = op(view, draws.of(position))
            images_bhwc = view.pixels()
        values = pixels.normalize(images_bhwc, self.stats)
        for position, value_op in enumerate(self.value_ops, start=len(self.pixel_ops)):
            values = value_op(values, draws.of(position))
        return values


class Pad:
    """`padding` more pixels on each side, mirrored without repeating the edge."""

    def __init__(self, padding: int) -> None:
        if padding < 0:
            raise ValueError(f"Pad: padding must be 0 pixels or more: got {padding}.")
        self.padding = padding

    def __call__(self, view: View, draws: Draws) -> View:
        return pixels.pad(view, self.padding)


class RandomCrop:
    """A part of `height` x `width` pixels, every place as likely as any other."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width

    def __call__(self, view: View, draws: Draws) -> View:
        room = view.rows.shape[1] - self.height, view.columns.shape[1] - self.width
        if min(room) < 0:
            raise ValueError(
                f"a crop of {self.height}x{self.width} pixels is larger than the image of "
                f"{view.rows.shape[1]}x{view.columns.shape[1]}: pad it first, or crop less."
            )
        for_top, for_left = draws.uniform(2)
        top, left = integers(for_top, 0, room[0]), integers(for_left, 0, room[1])
        return pixels.crop(view, top, left, self.height, self.width)


class HorizontalFlip:
    """Left and right exchanged with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability(p, self)

    def __call__(self, view: View, draws: Draws) -> View:
        return pixels.flip(view, draws.uniform(1)[0] < self.p)


class AlternatingFlip:
    """Each image flipped in every other epoch, half of them in the even ones (Jordan 2024, arXiv:2404.00498).

    Two epochs in a row show both sides of every image, where chance shows half of them the same side twice.
    """

    def __call__(self, view: View, draws: Draws) -> View:
        first = draws.uniform_for_all_epochs(1)[0] < 0.5
        return pixels.flip(view, first ^ (draws.epoch % 2 == 1))


class Rotate:
    """A turn by up to `limit` degrees to either side with probability `p`, mirrored at the edges."""

    def __init__(self, limit: float, p: float = 0.5) -> None:
        self.limit, self.p = limit, probability(p, self)

    def __call__(self, view: View, draws: Draws) -> View:
        for_turn, for_angle = draws.uniform(2)
        degrees = torch.where(for_turn < self.p, (2 * for_angle - 1) * self.limit, 0)
        return View.whole(pixels.rotate(view.pixels(), degrees))


class CoarseDropout:
    """Rectangular holes that lie within the image, with probability `p` (DeVries & Taylor 2017,
    arXiv:1708.04552, whose holes may hang over the edge).

    Args:
        num_holes_range: fewest and most holes.
        hole_height_range, hole_width_range: least and greatest, in pixels.
        fill: the value of every channel in a hole.
        p: how likely an image has holes at all.
    """

    def __init__(
        self,
        num_holes_range: tuple[int, int],
        hole_height_range: tuple[int, int],
        hole_width_range: tuple[int, int],
        fill: float = 0.0,
        p: float = 0.5,
    ) -> None:
        self.num_holes_range = span(num_holes_range, "num_holes_range")
        self.hole_height_range = span(hole_height_range, "hole_height_range")
        self.hole_width_range = span(hole_width_range, "hole_width_range")
        self.fill, self.p = fill, probability(p, self)

    def __call__(self, images_bhwc: Tensor, draws: Draws) -> Tensor:
        fewest, most = self.num_holes_range
        drawn = draws.uniform(2 + 4 * most)
        for_height, for_width, for_top, for_left = drawn[2:].view(4, most, -1)
        height = integers(for_height, *self.within(self.hole_height_range, images_bhwc.shape[1]))
        width = integers(for_width, *self.within(self.hole_width_range, images_bhwc.shape[2]))
        top = integers(for_top, 0, images_bhwc.shape[1] - height)
        left = integers(for_left, 0, images_bhwc.shape[2] - width)
        num_holes = torch.where(drawn[0] < self.p, integers(drawn[1], fewest, most), 0)
        there = torch.arange(most, device=drawn.device)[:, None] < num_holes
        return pixels.cut_out(
            images_bhwc, top=top, left=left, height=height * there, width=width, fill=self.fill
        )

    @staticmethod
    def within(sizes: tuple[int, int], limit: int) -> tuple[int, int]:
        """A hole is at most as large as the image."""
        return min(sizes[0], limit), min(sizes[1], limit)


def probability(p: float, op: object) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"{type(op).__name__}: p must be between 0 and 1: got {p}.")
    return p


def span(ends: Sequence[int], name: str) -> tuple[int, int]:
    """Least and greatest of something that there is at least one of."""
    if len(ends) != 2 or not 1 <= ends[0] <= ends[1] or any(isinstance(end, float) for end in ends):
        raise ValueError(
            f"CoarseDropout: {name} must be two whole numbers, [least, greatest], from 1 up: "
            f"got {list(ends)}."
        )
    return ends[0], ends[1]
