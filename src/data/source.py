"""What a dataset is, before anyone splits, augments or batches it."""

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
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except OSError as error:
        raise ValueError(f"{path} cannot be read as an image ({error}): remove or replace it.") from None
    if upright.size != (image_size, image_size):
        upright = ImageOps.fit(upright, (image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(upright)
