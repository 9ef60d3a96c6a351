"""Progressive resizing: smaller images in the earlier part of training (Howard 2018, "Training ImageNet in 18
minutes"; Tan & Le 2021, arXiv:2104.00298).

Shapes: B batch, C channels, H height, W width.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor
from torch.nn import functional as F

_SMALLEST = 8  # pixels


class Resolution:
    """The size of training images by the share of training that is done.

    Args:
        stages: (pixels, until) pairs: images are scaled to `pixels` x `pixels` until that fraction of
            training; after the last one they stay as they are.

    Raises:
        ValueError: a size is below 8 pixels, or fractions do not rise from above 0 to at most 1.
    """

    def __init__(self, stages: Sequence[tuple[int, float]]) -> None:
        try:
            self.stages = [(int(pixels), float(until)) for pixels, until in stages]
        except (TypeError, ValueError):
            self.stages = [(0, 0.0)]  # refused below
        ends = [0.0, *(until for _, until in self.stages)]
        rising = all(low < high <= 1 for low, high in pairwise(ends))
        if not rising or any(pixels < _SMALLEST for pixels, _ in self.stages):
            given = [list(stage) if isinstance(stage, Sequence) else stage for stage in stages]
            raise ValueError(
                f"resize.stages must be [[pixels, until], …] with {_SMALLEST} pixels or more and fractions "
                f"of training that rise to at most 1, such as [[24, 0.5]]: got {given}."
            )

    def phases(self) -> list[tuple[float, float]]:
        """(start, share) of each part of training in which images keep one size, as fractions of it."""
        starts = [0.0, *(until for _, until in self.stages)]
        shares = [end - start for start, end in pairwise([*starts, 1.0])]
        return [(start, share) for start, share in zip(starts, shares, strict=True) if share > 0]

    def __call__(self, images: Tensor, progress: float) -> Tensor:
        """Scale images (B, C, H, W) as `progress`, the share of training done from 0 to 1, wants it."""
        for pixels, until in self.stages:
            if progress < until:
                return scaled(images, pixels)
        return images


def scaled(images: Tensor, pixels: int) -> Tensor:
    """BCHW -> (B, C, pixels, pixels), bilinear; images of that size come back as they are."""
    if images.shape[-2:] == (pixels, pixels):
        return images
    return F.interpolate(images, size=(pixels, pixels), mode="bilinear", align_corners=False)


def work_done(stages: Sequence[tuple[int, float]], progress: float, image_size: int) -> float:
    """Work of the first part of a training, in units of all of it at `image_size` pixels.

    The work of a step is taken to grow with the number of pixels.

    Args:
        stages: as in `Resolution`.
        progress: share of the steps that is done, from 0 to 1.
        image_size: pixels after the last stage.
    """
    work, start = 0.0, 0.0
    for pixels, until in [*stages, (image_size, 1.0)]:
        work += max(0.0, min(progress, until) - start) * (pixels / image_size) ** 2
        start = until
    return work
