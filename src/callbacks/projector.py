"""The test images as the network's last layer sees them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from src.attribution.capture import features
from src.callbacks.evaluation import Evaluation, View

BATCH = 64  # images a forward pass


@dataclass(kw_only=True)
class Projector(View):
    """Features and thumbnails of the first `num_images` test images for TensorBoard's projector.

    More than a thousand or two make the page slow and the files large.
    """

    num_images: int = 1000

    def __call__(self, seen: Evaluation) -> None:
        at, names = seen.indices[: self.num_images], seen.class_names
        parts = [
            features(seen.net, seen.inputs_at(at[start : start + BATCH]))
            for start in range(0, len(at), BATCH)
        ]
        pictures = torch.from_numpy(np.stack([seen.pixels_at(int(index)) for index in at]))
        rows = [
            [names[label], names[guess], "right" if label == guess else "wrong", str(index)]
            for index, label, guess in zip(at, seen.labels, seen.predicted, strict=False)
        ]
        for writer in seen.writers:
            writer.add_embedding(
                torch.cat(parts).float().cpu(),
                metadata=rows,
                label_img=_thumbnails(pictures.permute(0, 3, 1, 2)),
                global_step=seen.step,
                tag="test_features",
                metadata_header=["actual", "predicted", "verdict", "index"],
            )


def _thumbnails(pictures: Tensor) -> Tensor:
    """(N, 3, H, W) uint8 -> [0, 1], made smaller where the sprite of all would exceed 8192 pixels a side."""
    side = int(np.ceil(len(pictures) ** 0.5))
    factor = int(np.ceil(pictures.shape[-1] * side / 8192))
    return pictures[..., ::factor, ::factor] / 255
