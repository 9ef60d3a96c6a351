"""Test-time augmentation: the mean of the answers to several views of an image.

Shapes: B batch, H height, W width, K classes.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F


class Views:
    """The image, its mirror image, and both shifted a little (Jordan 2024, arXiv:2404.00498, section 3.5).

    Args:
        flip: look at the mirror image, too.
        shift: pixels; also look at the image shifted up and left, and down and right, edges reflected. The
            unshifted views weigh as much as the shifted ones together.
    """

    def __init__(self, *, flip: bool = False, shift: int = 0) -> None:
        self.flip, self.shift = flip, shift

    @property
    def num_views(self) -> int:
        """How often an image goes through the network, the plain look included."""
        return (2 if self.flip else 1) * (3 if self.shift else 1)

    def __call__(self, forward: Callable[[Tensor], Tensor], images: Tensor, logits: Tensor) -> Tensor:
        """Mean logits (B, K) over the views of images (B, 3, H, W), whose own `logits` are known."""
        plain = (logits + forward(images.flip(-1))) / 2 if self.flip else logits
        if not self.shift:
            return plain
        height, width = images.shape[-2:]
        padded = F.pad(images, (self.shift,) * 4, mode="reflect")
        shifted = []
        for start in (0, 2 * self.shift):
            view = padded[..., start : start + height, start : start + width]
            shifted.append(forward(view))
            if self.flip:
                shifted.append(forward(view.flip(-1)))
        return plain / 2 + sum(shifted) / (2 * len(shifted))
