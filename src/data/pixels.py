"""What augmentations do to a batch of images, given what was drawn for each: pure functions on any device.

They do as albumentations 2.0.8 does with the same draws: pad, crop and flip to the pixel, rotation within
rounding. Shapes: B images, H and W of an image, C channels. uint8 pixels and normalized float32 values are
both BHWC, in memory too.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from src.data.stats import Stats


class View(NamedTuple):
    """Images, and which of their rows and columns are to be seen.

    Pads, crops and flips only choose rows and columns, so that all of them together copy the pixels once.
    Positions are int32, which is quicker: a batch has fewer than 2^31 pixels.
    """

    images: Tensor  # (B, H, W, C)
    rows: Tensor  # (B, h) int32; (1, h) where they are the same of all images
    columns: Tensor  # (B, w) int32, or (1, w)
    chosen: bool = True  # whether these are not simply all of them

    @classmethod
    def whole(cls, images_bhwc: Tensor) -> "View":
        """Every row and every column, in their order."""
        rows, columns = (
            torch.arange(n, dtype=torch.int32, device=images_bhwc.device)[None]
            for n in images_bhwc.shape[1:3]
        )
        return cls(images_bhwc, rows, columns, chosen=False)

    def pixels(self) -> Tensor:
        """What is seen: (B, h, w, C)."""
        if not self.chosen:
            return self.images
        num_images, height, width, channels = self.images.shape
        first = torch.arange(num_images, dtype=torch.int32, device=self.rows.device)[:, None] * height
        at = ((first + self.rows) * width)[:, :, None] + self.columns[:, None, :]
        return self.images.reshape(-1, channels).index_select(0, at.view(-1)).view(*at.shape, channels)


def pad(view: View, padding: int) -> View:
    """`padding` more rows and columns on each side, mirrored without repeating the edge (BORDER_REFLECT_101).

    Raises:
        ValueError: the image has not so many to mirror.
    """

    def padded(indices: Tensor) -> Tensor:
        last = indices.shape[1] - 1
        if padding > last:
            raise ValueError(f"padding must be less than the image's {last + 1} pixels: got {padding}.")
        at = torch.arange(-padding, last + 1 + padding, device=indices.device)
        return indices[:, last - (last - at.abs()).abs()]

    return View(view.images, padded(view.rows), padded(view.columns))


def crop(view: View, top: Tensor, left: Tensor, height: int, width: int) -> View:
    """The `height` x `width` pixels whose first row is `top` and first column `left`, (B,) int64 each."""

    def cropped(indices: Tensor, first: Tensor, length: int) -> Tensor:
        at = first[:, None] + torch.arange(length, device=indices.device)
        return indices.expand(len(at), -1).gather(1, at)

    return View(view.images, cropped(view.rows, top, height), cropped(view.columns, left, width))


def flip(view: View, flipped: Tensor) -> View:
    """Mirror left and right where `flipped`, (B,) bool."""
    columns = torch.where(flipped[:, None], view.columns.flip(1), view.columns)
    return View(view.images, view.rows, columns)


def rotate(images_bhwc: Tensor, degrees: Tensor) -> Tensor:
    """Turn images about their centres, counterclockwise as seen; bilinear, mirrored at the edges.

    The result is float32, in whole numbers from 0 to 255: it is to be normalized, and bytes would cost time.

    Args:
        images_bhwc: (B, H, W, C), pixel values from 0 to 255.
        degrees: (B,) float32.
    """
    height, width = images_bhwc.shape[1:3]
    half_height, half_width = (height - 1) / 2, (width - 1) / 2
    y = torch.arange(height, device=degrees.device)[:, None].expand(height, width) - half_height
    x = torch.arange(width, device=degrees.device).expand(height, width) - half_width
    # Where a pixel comes from, in grid_sample's unit of half an image: cos * along + sin * across
    along = torch.stack([x / half_width, y / half_height], dim=-1)
    across = torch.stack([-y / half_width, x / half_height], dim=-1)
    radians = torch.deg2rad(degrees)[:, None, None, None]
    grid = (radians.cos() * along).addcmul_(radians.sin(), across)
    planes = images_bhwc.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    turned = F.grid_sample(planes, grid, padding_mode="reflection", align_corners=True)
    return turned.round_().permute(0, 2, 3, 1).contiguous()


def normalize(images_bhwc: Tensor, stats: Stats) -> Tensor:
    """Pixel values from 0 to 255 -> float32 with the data's mean at 0 and its standard deviation at 1."""
    mean, std = _a_row_of(stats, images_bhwc.shape[2], images_bhwc.device)
    return torch.sub(images_bhwc.flatten(2), mean).div_(std).view(images_bhwc.shape)


@lru_cache(maxsize=8)
def _a_row_of(stats: Stats, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each value in a row of pixels, (W * C,): long rows are quick."""
    mean, std = (torch.tensor(values, dtype=torch.float32) * 255 for values in stats)
    return mean.repeat(width).to(device), std.repeat(width).to(device)


def cut_out(
    images_bhwc: Tensor, *, top: Tensor, left: Tensor, height: Tensor, width: Tensor, fill: float
) -> Tensor:
    """Fill holes of the images, in place.

    Args:
        images_bhwc: (B, H, W, C), contiguous.
        top, left, height, width: (K, B) int64, K holes an image, in pixels; a height of 0 is no hole.
        fill: the value of every channel there.
    """

    def inside(first: Tensor, length: Tensor, size: int) -> Tensor:  # (K, B, size), 1 within and 0 without
        at = torch.arange(size, device=first.device)
        return ((at >= first[..., None]) & (at < (first + length)[..., None])).view(torch.uint8)

    _, num_rows, num_columns, channels = images_bhwc.shape
    rows = inside(top, height, num_rows)[..., None]
    columns = inside(left, width, num_columns).repeat_interleave(channels, dim=-1)[:, :, None]
    holes = rows[0] & columns[0]  # (B, H, W * C), uint8: bool is several times as slow here
    for k in range(1, len(top)):
        holes |= rows[k] & columns[k]
    values = images_bhwc.flatten(2).mul_((1 - holes).to(images_bhwc.dtype))
    if fill:
        values.add_(holes, alpha=fill)
    return images_bhwc
