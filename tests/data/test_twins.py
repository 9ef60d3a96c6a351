"""Each batched pipeline against its albumentations twin: 20,000 draws of both, read off what comes out.

The picture encodes where each pixel came from: rows in one channel, columns in another, and a third that is
never the mean. So shift, mirroring, turn and holes of every output are known without asking the pipeline.
"""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from src.config.build import build
from src.data.draws import Draws
from src.data.stats import Stats
from src.notebook import compose

pytestmark = pytest.mark.slow

COUNT = 20_000
STATS = Stats(
    (0.1001, 0.1002, 0.1003), (1 / 255,) * 3
)  # normalized: grey levels less a mean that no pixel has


class Seen(NamedTuple):
    """What was drawn for each of N images."""

    turned: np.ndarray  # (N,) bool: by enough to be seen
    degrees: np.ndarray  # (N,), counterclockwise
    top: np.ndarray  # (N,) rows that the crop lies below the picture's edge, from -pad to pad
    left: np.ndarray
    flipped: np.ndarray  # (N,) bool
    area: np.ndarray  # (N,) pixels within holes
    box: np.ndarray  # (N, 2) height and width of what encloses all holes


def look(name: str, size: int) -> Seen:
    """Draw `COUNT` images of the pipeline and read them."""
    scale = 255 // (size - 1)
    rows, columns = np.mgrid[:size, :size]
    picture = np.stack([rows * scale, columns * scale, np.full_like(rows, 255)], axis=-1).astype(np.uint8)
    augment = build(compose(f"augment={name}", f"data.image_size={size}").cfg.augment).bind(STATS)
    parts = []
    for start in range(0, COUNT, 1000):
        draws = Draws(3, torch.zeros(1000, dtype=torch.int64), torch.arange(start, start + 1000))
        images = torch.from_numpy(picture).repeat(1000, 1, 1, 1)
        parts.append(read(augment(images, draws).numpy(), scale))
    return Seen(*map(np.concatenate, zip(*parts, strict=True)))


def read(images: np.ndarray, scale: int) -> Seen:
    """(N, size, size, 3) normalized -> what was drawn."""
    size = images.shape[1]
    hole = images[..., 2] == 0
    row, column = (np.where(hole, np.nan, images[..., k] + 255 * STATS.mean[k]) / scale for k in (0, 1))
    at = np.arange(size)
    middle = slice(size // 4, -size // 4)  # nothing mirrored at the edges
    rises = np.nanmedian(np.diff(column[:, middle], axis=2), axis=(1, 2))
    spread = np.nanmax(np.nanmax(row, axis=2) - np.nanmin(row, axis=2), axis=1)  # along a row
    from_left = np.where(rises > 0, 1, -1)[:, None, None] * (column - (size - 1) / 2) + (size - 1) / 2
    return Seen(
        turned=spread > 0.5 / scale,
        degrees=np.rad2deg(np.arcsin(slope(row[:, middle, 6:-6] - at[middle, None]))),
        top=np.round(np.nanmedian(row - at[:, None], axis=(1, 2))).astype(int),
        left=np.round(np.nanmedian(from_left - at, axis=(1, 2))).astype(int),
        flipped=rises < 0,
        area=hole.sum(axis=(1, 2)),
        box=np.stack([extent(hole.any(axis=2)), extent(hole.any(axis=1))], axis=1),
    )


def slope(values: np.ndarray) -> np.ndarray:
    """(N, h, w) -> (N,) rise of a line fitted along the last axis, NaN left out."""
    x = np.where(np.isnan(values), np.nan, np.arange(values.shape[2]))
    x = x - np.nanmean(x, axis=(1, 2), keepdims=True)
    found: np.ndarray = np.nansum(x * values, axis=(1, 2)) / np.nansum(x * x, axis=(1, 2))
    return found


def extent(marks: np.ndarray) -> np.ndarray:
    """(N, size) bool -> (N,) length from the first to the last mark, 0 where there is none."""
    length = marks.shape[1] - marks.argmax(1) - marks[:, ::-1].argmax(1)
    return np.where(marks.any(1), length, 0)


def assert_share(found: np.ndarray, want: float) -> None:
    """A share of independent draws, within four and a half standard errors."""
    assert abs(found.mean() - want) <= 4.5 * (want * (1 - want) / len(found)) ** 0.5


CASES = {  # image size, padding, rotated, flipped, with holes, (hole height and width, fewest and most holes)
    "crop_rotate_cutout": (32, 4, 0.5, 0.0, 0.5, (16, 1, 1)),
    "crop_flip_cutouts": (32, 4, 0.0, 0.5, 0.8, (8, 1, 3)),
    "crop_always_flip_cutouts": (32, 4, 0.0, 1.0, 0.8, (8, 1, 3)),
    "standard": (32, 4, 0.0, 0.5, 0.0, (0, 0, 0)),
    "standard_cutout": (32, 4, 0.0, 0.5, 1.0, (12, 1, 1)),
    "tiny_imagenet": (64, 3, 0.5, 0.5, 0.8, (32, 1, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_20_000_draws_are_albumentations(name: str) -> None:
    size, pad, rotated, flipped, with_holes, (side, fewest, most) = CASES[name]
    ours, theirs = look(name, size), look(f"albumentations_{name}", size)
    places = (2 * pad + 1) ** 2
    # A turn is seen where it moves the picture's edge by half a grey level
    blind = np.rad2deg(0.5 / (255 // (size - 1)) / (size / 2)) / 5
    for seen in (ours, theirs):
        assert_share(seen.flipped, flipped)
        assert_share(seen.area > 0, with_holes)
        assert abs(seen.turned.mean() - rotated * (1 - blind / 2)) <= 0.02 * (rotated > 0)
        assert np.abs(seen.degrees[seen.area == 0]).max(initial=0) <= (5.2 if rotated else 1e-6)
        top, left = seen.top[~seen.turned], seen.left[~seen.turned]  # a turn moves holes' surroundings, too
        counts = np.histogram2d(top, left, bins=np.arange(-pad - 0.5, pad + 1))[0]
        assert counts.sum() == len(top)
        assert np.abs(counts - len(top) / places).max() <= 4.8 * (len(top) / places) ** 0.5
        assert set(seen.area) <= {0, *range(side * side, most * side * side + 1)}
        assert (seen.box[seen.area == side * side] == side).all()
        for count in range(fewest, most + 1):  # holes that do not touch are of full size, and there are some
            assert side * side * count in seen.area
    assert abs(ours.turned.mean() - theirs.turned.mean()) <= 4.5 * (0.5 / COUNT) ** 0.5
    edges = np.linspace(-5, 5, 11)
    turns = [np.histogram(seen.degrees[seen.turned], edges)[0] for seen in (ours, theirs)]
    assert np.abs(turns[0] - turns[1]).max() <= 4.5 * (2 * COUNT * rotated / 10) ** 0.5
    # Holes that overlap cover less: the whole distribution of their area
    bins = np.unique([0, 1, *range(side * side, most * side * side + 2, side * side // 4 + 1), size * size])
    areas = [np.histogram(seen.area, bins)[0] for seen in (ours, theirs)]
    assert (np.abs(areas[0] - areas[1]) <= 4.5 * np.sqrt(areas[0] + areas[1] + 1)).all()
