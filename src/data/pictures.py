"""Single pictures as a network takes them: a user's files, and images of the test set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from src.data.source import open_rgb, square

SIDE = 232  # pixels, height and width of the larger one, for a sheet


class Picture(NamedTuple):
    """A picture (S, S, 3) uint8 as the network takes it, a larger one to show, its class if known."""

    name: str
    pixels: np.ndarray
    large: np.ndarray
    label: int | None


def read_files(files: Sequence[Path], facts: dict[str, Any]) -> tuple[list[Picture], list[str]]:
    """Pictures that can be read, and for each other one the reason; a folder named as a class is a label."""
    pictures, broken = [], []
    for path in files:
        try:
            image = open_rgb(path)
        except ValueError as error:
            broken.append(str(error))
            continue
        folder = path.resolve().parent.name
        label = facts["class_names"].index(folder) if folder in facts["class_names"] else None
        small, large = (np.asarray(square(image, side)) for side in (facts["image_size"], SIDE))
        pictures.append(Picture(path.stem, small, large, label))
    return pictures, broken


def read_test_images(datamodule: Any, indices: Sequence[int], facts: dict[str, Any]) -> list[Picture]:
    """Images of the test set by their position.

    Raises:
        ValueError: there is no such image.
    """
    datamodule.load_state_dict(facts)
    test = datamodule.source.test
    if beyond := [index for index in indices if index >= len(test)]:
        raise ValueError(f"images={beyond[0]}: the test set has {len(test)} images, 0 to {len(test) - 1}.")
    return [Picture(f"test_{i}", test.images[i], test.images[i], int(test.labels[i])) for i in indices]
