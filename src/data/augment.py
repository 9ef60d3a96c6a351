"""Albumentations pipelines from YAML, with draws that depend on (seed, epoch, image) alone."""

import random
from collections.abc import Sequence

import albumentations as A
import cv2
import numpy as np

from src.data.stats import Stats

cv2.setNumThreads(0)  # the loading processes are the parallelism


class Pipeline:
    """Transforms on uint8 pixels, then normalization, then transforms on normalized values.

    On normalized values 0 is the mean of the data, so `fill: 0` there cuts out to the mean.
    """

    def __init__(
        self,
        pixels: Sequence[A.BasicTransform] = (),
        normalized: Sequence[A.BasicTransform] = (),
    ) -> None:
        self.pixels = list(pixels)
        self.normalized = list(normalized)

    def bind(self, stats: Stats) -> "Augment":
        """Complete the pipeline with the data's mean and standard deviation."""
        normalize = A.Normalize(stats.mean, stats.std, max_pixel_value=255.0)
        return Augment(A.Compose([*self.pixels, normalize, *self.normalized]))


class Augment:
    """HWC uint8 -> HWC float32, repeating itself exactly for the same key."""

    def __init__(self, transforms: A.Compose) -> None:
        self.transforms = transforms

    def __call__(self, image_hwc: np.ndarray, key: tuple[int, ...]) -> np.ndarray:
        """Transform one image; `key` (seed, epoch, index) alone decides what is drawn."""
        rng = np.random.default_rng(key)
        self.transforms.set_random_state(rng, random.Random(int(rng.integers(2**62))))
        image: np.ndarray = self.transforms(image=image_hwc)["image"]
        return image


def normalize(images_bhwc: np.ndarray, stats: Stats) -> np.ndarray:
    """BHWC uint8 -> BHWC float32 with the data's mean at 0 and its standard deviation at 1."""
    mean, std = (np.asarray(values, dtype=np.float32) * 255 for values in stats)
    return (images_bhwc.astype(np.float32) - mean) / std
