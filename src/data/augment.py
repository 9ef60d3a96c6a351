"""Albumentations pipelines from YAML, with draws that depend on (seed, epoch, image) alone.

For any of its transforms, image by image; `src.data.batched` has the usual ones many times as quick.
"""

import random
from collections.abc import Sequence

import albumentations as A
import cv2
import numpy as np
import torch
from torch import Tensor

from src.data.draws import Draws
from src.data.stats import Stats

cv2.setNumThreads(0)  # the loading processes are the parallelism


class Pipeline:
    """Transforms on uint8 pixels, then normalization, then transforms on normalized values.

    On normalized values 0 is the mean of the data, so `fill: 0` there cuts out to the mean.
    """

    batched = False

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
    """Repeats itself exactly for the same (seed, epoch, image)."""

    def __init__(self, transforms: A.Compose) -> None:
        self.transforms = transforms

    def __call__(self, images_bhwc: Tensor, draws: Draws) -> Tensor:
        """(B, H, W, C) uint8 -> (B, H', W', C) float32, on the CPU."""
        keys = zip(draws.epoch.tolist(), draws.image.tolist(), strict=True)
        images = [
            self.one(image, (draws.seed, *key)) for image, key in zip(images_bhwc.numpy(), keys, strict=True)
        ]
        return torch.from_numpy(np.stack(images))

    def one(self, image_hwc: np.ndarray, key: tuple[int, ...]) -> np.ndarray:
        """Transform one image; `key` (seed, epoch, index) alone decides what is drawn."""
        rng = np.random.default_rng(key)
        self.transforms.set_random_state(rng, random.Random(int(rng.integers(2**62))))
        image: np.ndarray = self.transforms(image=image_hwc)["image"]
        return image
