"""Generated images whose explanation is known: a textured square on noise, and the texture is the class.

Noise is uniform and independent at every pixel and color. Inside a square a pixel keeps it at half the
contrast and moves to the upper or the lower half of the range, as the texture is bright or dark there. Half
of each texture is bright, so a single value says nothing of class or place: how values are arranged does.
Each texture is a wave of one spatial frequency, and no two share one. Textures that contain pieces of each
other (rings have stripes in them) would leave open where a class is to be seen.

Shapes: N images, H and W of an image.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from src.data.source import LabelledImages, Source

SQUARE = 12  # pixels, a seventh of the area of a 32x32 image
TRAIN, TEST, ONE, TWO = range(4)  # streams of random numbers: the dataset's, then one for each check of maps

# name -> (down, across, period) of waves that are bright where (down * y + across * x) % period < period / 2
TEXTURES = {
    "horizontal stripes": (1, 0, 4),
    "vertical stripes": (0, 1, 4),
    "diagonal stripes": (1, 1, 4),
    "horizontal lines": (1, 0, 2),
    "vertical lines": (0, 1, 2),
    "checkerboard": (1, 1, 2),
}


class Squares(NamedTuple):
    """Images with one square; with two, labels and masks have an axis of length 2 after N."""

    images: np.ndarray  # (N, H, W, 3) uint8
    labels: np.ndarray  # (N,) int64
    masks: np.ndarray  # (N, H, W) bool


def squares(
    image_size: int = 32, num_classes: int = 6, num_train: int = 4000, num_test: int = 1000, seed: int = 0
) -> Source:
    """A dataset of images with one square, the same wherever these arguments are.

    Raises:
        ValueError: from `make_squares`.
    """
    train, test = (
        make_squares(count, num_classes=num_classes, image_size=image_size, seed=(seed, stream))
        for stream, count in ((TRAIN, num_train), (TEST, num_test))
    )
    return Source(
        train=LabelledImages(train.images, train.labels),
        test=LabelledImages(test.images, test.labels),
        class_names=list(TEXTURES)[:num_classes],
        fingerprint=f"squares-{image_size}-{num_classes}-{num_train}-{seed}",
    )


def make_squares(num_images: int, *, num_classes: int, image_size: int, seed: int | Sequence[int]) -> Squares:
    """One square an image, anywhere in it; equally many of each class, in random order.

    Raises:
        ValueError: too few images for the classes, no such number of textures, or images too small.
    """
    check(num_images, num_classes, image_size)
    rng = np.random.default_rng(seed)
    images = noise(num_images, image_size, rng)
    labels = rng.permutation(np.arange(num_images) % num_classes)
    corners = rng.integers(0, image_size - SQUARE + 1, (num_images, 2))
    return Squares(images, labels, paint(images, labels, corners, rng))


def two_squares(num_images: int, *, num_classes: int, image_size: int, seed: int | Sequence[int]) -> Squares:
    """Two squares an image that do not overlap, of different classes.

    Raises:
        ValueError: as `make_squares`.
    """
    check(num_images, num_classes, image_size)
    rng = np.random.default_rng(seed)
    images = noise(num_images, image_size, rng)
    first = rng.permutation(np.arange(num_images) % num_classes)
    second = (first + rng.integers(1, num_classes, num_images)) % num_classes
    corners = np.zeros((2, num_images, 2), dtype=np.int64)
    overlap = np.ones(num_images, dtype=bool)
    while overlap.any():
        corners[:, overlap] = rng.integers(0, image_size - SQUARE + 1, (2, overlap.sum(), 2))
        overlap = (np.abs(corners[0] - corners[1]) < SQUARE).all(axis=1)
    masks = [paint(images, labels, at, rng) for labels, at in zip((first, second), corners, strict=True)]
    return Squares(images, np.stack([first, second], axis=1), np.stack(masks, axis=1))


def noise(num_images: int, image_size: int, rng: np.random.Generator) -> np.ndarray:
    """(N, H, W, 3) uint8: what every image is before it gets its squares."""
    return rng.integers(0, 256, (num_images, image_size, image_size, 3), dtype=np.uint8)


def paint(
    images: np.ndarray, labels: np.ndarray, corners: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw a square into each image, in place, its waves shifted by chance; returns the masks (N, H, W).

    `corners` (N, 2) are the squares' first row and column.
    """
    image_size = images.shape[1]
    y = np.arange(image_size)[:, np.newaxis] - corners[:, :1, np.newaxis]  # (N, H, 1), from the corner
    x = np.arange(image_size)[np.newaxis, :] - corners[:, 1:, np.newaxis]  # (N, 1, W)
    masks: np.ndarray = (y >= 0) & (y < SQUARE) & (x >= 0) & (x < SQUARE)
    down, across, period = np.array(list(TEXTURES.values()))[labels].T[..., np.newaxis, np.newaxis]
    shift = rng.integers(0, period)
    bright = (down * y + across * x + shift) % period < period / 2
    images[masks] = images[masks] // 2 + np.uint8(128) * bright[masks][:, np.newaxis]
    return masks


def check(num_images: int, num_classes: int, image_size: int) -> None:
    if not 2 <= num_classes <= len(TEXTURES):
        raise ValueError(f"num_classes must be from 2 to {len(TEXTURES)}, a texture each: got {num_classes}.")
    if num_images < num_classes:
        raise ValueError(f"squares need an image a class, {num_classes} or more: got {num_images}.")
    if image_size < 2 * SQUARE:
        raise ValueError(
            f"image_size must be {2 * SQUARE} or more, room for two squares of {SQUARE} pixels: "
            f"got {image_size}."
        )
