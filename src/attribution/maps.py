"""From raw attribution maps to pictures: small pure functions.

Shapes: B batch, N maps, h and w of a map, H and W of a picture; colors are RGB in [0, 1].
"""

from functools import cache

import matplotlib
import torch
from torch import Tensor
from torch.nn import functional as F

HEAT = "inferno"  # dark to bright: readable without color vision
SIGNED = "PuOr_r"  # purple against, orange for: distinct for the color-blind (Brewer)


def upsample(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, N, h, w) -> (B, N, *size), bilinear, pixel centres aligned."""
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def unit(maps: Tensor) -> Tensor:
    """Each (h, w) map to [0, 1] by its minimum and maximum; a flat one is 1 where positive, else 0.

    Never NaN: values that are not finite count as 0.
    """
    finite = torch.nan_to_num(maps, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = finite.amin((-2, -1), keepdim=True), finite.amax((-2, -1), keepdim=True)
    span = high - low
    scaled = (finite - low) / torch.where(span > 0, span, 1)
    return torch.where(span > 0, scaled, (high > 0).to(maps.dtype))


def heat(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Positive evidence only, in [0, 1] at `size`: ReLU, min-max, bilinear, min-max.

    A map with no positive value is zeros: say "no positive evidence" there (`has_evidence`).
    """
    return unit(upsample(unit(F.relu(maps)), size))


def has_evidence(maps: Tensor) -> Tensor:
    """(..., h, w) -> (...): whether any value is positive."""
    return (maps > 0).flatten(-2).any(-1)


def signed(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, N, h, w) -> [-1, 1] at `size`: one scale for an image's N maps; 0 stays 0."""
    large = torch.nan_to_num(upsample(maps, size), nan=0.0, posinf=0.0, neginf=0.0)
    top = large.abs().amax((1, 2, 3), keepdim=True)
    return large / torch.where(top > 0, top, 1)


def color(values: Tensor, name: str) -> Tensor:
    """(..., H, W) in [0, 1] -> (..., 3, H, W) by matplotlib's color map `name`."""
    return _color_table(name)[(values.clamp(0, 1) * 255).round().long().cpu()].movedim(-1, -3)


@cache
def _color_table(name: str) -> Tensor:
    """(256, 3) float32."""
    return torch.tensor(matplotlib.colormaps[name](range(256)), dtype=torch.float32)[:, :3]


def overlay(pictures: Tensor, colors: Tensor, strength: Tensor) -> Tensor:
    """Blend colors over pictures, both (..., 3, H, W), by `strength` (..., H, W): 0 picture, 1 color."""
    alpha = strength.unsqueeze(-3)
    return pictures * (1 - alpha) + colors * alpha


def heat_overlay(pictures: Tensor, heat_maps: Tensor) -> Tensor:
    """(..., 3, H, W) under heat (..., H, W): the picture stays visible, and most where the heat is low."""
    return overlay(pictures, color(heat_maps, HEAT), 0.3 + 0.4 * heat_maps)


def signed_overlay(pictures: Tensor, signed_maps: Tensor) -> Tensor:
    """A grey picture under evidence in [-1, 1] (..., H, W): orange speaks for, purple against."""
    grey = pictures.mean(-3, keepdim=True).expand_as(pictures) * 0.6 + 0.2
    return overlay(grey, color((signed_maps + 1) / 2, SIGNED), 0.85 * signed_maps.abs())
