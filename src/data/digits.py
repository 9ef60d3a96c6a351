"""scikit-learn's handwritten digits: 1,797 images of 8x8 that need no download (Alpaydin & Kaynak 1998)."""

from functools import cache

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from src.data.source import LabelledImages, Source
from src.data.split import stratified_split

_TEST_IMAGES = 360  # of 1,797
_SPLIT_SEED = 0  # the test set is the same for every run


@cache
def digits(image_size: int = 32) -> Source:
    """The digits as (image_size, image_size, 3) uint8: 1,437 for training, 360 for the test.

    Made once a process, for the jobs of a sweep would make the same 1,797 again.
    """
    bunch = load_digits()
    small = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    grey = [
        Image.fromarray(image).resize((image_size, image_size), Image.Resampling.BILINEAR) for image in small
    ]
    images = np.stack([np.asarray(image.convert("RGB")) for image in grey])
    labels = bunch.target.astype(np.int64)
    train, test = stratified_split(labels, _TEST_IMAGES, seed=_SPLIT_SEED)
    return Source(
        train=LabelledImages(images[train], labels[train]),
        test=LabelledImages(images[test], labels[test]),
        class_names=[str(name) for name in bunch.target_names],
        fingerprint=f"digits-{image_size}",
    )
