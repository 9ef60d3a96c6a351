"""What an augmentation is to the rest of the bench, whether it works on batches or image by image.

Shapes: B images, H and W of an image, C channels.
"""

from typing import Protocol

from torch import Tensor

from src.data.draws import Draws
from src.data.pixels import View
from src.data.stats import Stats


class PixelOp(Protocol):
    """An op on uint8 pixels."""

    def __call__(self, view: View, draws: Draws) -> View: ...


class ValueOp(Protocol):
    """An op on normalized values, (B, H, W, C) float32, which it may change in place."""

    def __call__(self, images_bhwc: Tensor, draws: Draws) -> Tensor: ...


class Augment(Protocol):
    """(B, H, W, C) uint8 -> (B, H', W', C) float32: a pipeline that knows the data's statistics."""

    def __call__(self, images_bhwc: Tensor, draws: Draws) -> Tensor: ...


class AnyPipeline(Protocol):
    """What a data module is given: `batched` says that it is too quick for loading processes to pay."""

    batched: bool

    def bind(self, stats: Stats) -> Augment: ...
