"""What a dataset is, before anyone splits, augments or batches it."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps


class Images(Protocol):
    """Images by position, each HWC uint8 with three channels, all of one size."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> np.ndarray: ...


@dataclass(frozen=True)
class LabelledImages:
    """Images and their class indices, shape (N,) int64."""

    images: Images
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Source:
    """A dataset's training and test images; `val` only where the dataset itself has one.

    `fingerprint` changes when the training images do: cached statistics are kept under it.
    """

    train: LabelledImages
    test: LabelledImages
    class_names: list[str]
    fingerprint: str
    val: LabelledImages | None = None


@dataclass(frozen=True)
class ImageFiles:
    """Image files, read when asked for."""

    paths: Sequence[Path]
    image_size: int

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return read_image(self.paths[index], self.image_size)


def read_image(path: Path, image_size: int) -> np.ndarray:
    """Read any picture as RGB, upright, scaled and centre-cropped: (image_size, image_size, 3) uint8.

    Raises:
        ValueError: the file is not an image.
    """
    return np.asarray(square(open_rgb(path), image_size))


def open_rgb(path: Path) -> Image.Image:
    """A picture of any mode, upright by its EXIF rotation, transparent parts on white, 16 bits as 8.

    Raises:
        ValueError: the file is not an image, is damaged, or has far more pixels than any photo.
    """
    try:
        # Large photos are welcome: Pillow warns, and at twice as many pixels refuses by itself
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I") or upright.mode == "F":
                upright = _eight_bits(upright)
            if upright.has_transparency_data:
                white = Image.new("RGBA", upright.size, "white")
                upright = Image.alpha_composite(white, upright.convert("RGBA"))
            return upright.convert("RGB")
    except MemoryError:
        raise
    except Exception as error:  # damaged files make Pillow's readers fail in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} cannot be read as an image ({reason}): remove or replace it.") from None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey values of 16 or 32 bits to 0..255: 16-bit ones by their range, others by their largest value."""
    values = np.asarray(image, dtype=np.float64)
    top = 65535 if image.mode.startswith("I;16") else max(values.max(), 255)
    return Image.fromarray((values.clip(0, top) * (255 / top)).round().astype(np.uint8))


def square(image: Image.Image, side: int) -> Image.Image:
    """Scale and centre-crop a picture to `side` x `side` pixels."""
    if image.size == (side, side):
        return image
    return ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
