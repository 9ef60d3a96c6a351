"""Whether explanations of the trained network point at what there is to see."""

import logging
from typing import Any

import lightning as L
import torch
from torch import nn

from src.attribution.capture import layer_named, map_layers
from src.attribution.health import Health, Known, health
from src.data.datasets import as_batch
from src.data.pixels import normalize
from src.data.squares import ONE, TEXTURES, TWO, Squares, make_squares, two_squares
from src.data.stats import Stats

log = logging.getLogger(__name__)


class ExplanationHealth(L.Callback):
    """After the test, check Grad-CAM on fresh images of textured squares, whose explanation is known.

    Logs `test/pointing_game`, `test/energy_ratio`, `test/class_discriminative` and
    `test/spearman_random`. The images are those of no dataset: they have a stream of random numbers
    of their own.

    Args:
        num_images: with one square, and as many with two.
        seed: of images and random weights.
        layer: dotted name of the layer whose maps are checked; None: the last one that has maps.

    Raises:
        ValueError: from `setup`, if the data is not `squares`, or the network has no such layer.
    """

    def __init__(self, *, num_images: int = 300, seed: int = 0, layer: str | None = None) -> None:
        self.num_images, self.seed, self.layer = num_images, seed, layer

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Look at classes and layer now: what cannot work must not wait for the end of a training."""
        names = trainer.datamodule.source.class_names  # type: ignore[attr-defined]
        if names != list(TEXTURES)[: len(names)]:
            raise ValueError(
                f"callbacks.explanation_health knows what is to be seen in data=squares alone, not in "
                f"{', '.join(names[:3])}, …: add data=squares, or ~callbacks.explanation_health."
            )
        if self.layer:
            layer_named(pl_module.net, self.layer)  # type: ignore[arg-type]

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        net: nn.Module = pl_module.net  # type: ignore[assignment]
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        kind = {"num_classes": datamodule.num_classes, "image_size": datamodule.image_size}
        one = known(make_squares(self.num_images, **kind, seed=(self.seed, ONE)), datamodule.stats)
        two = known(two_squares(self.num_images, **kind, seed=(self.seed, TWO)), datamodule.stats)
        layer = self.layer or map_layers(net, datamodule.image_size)[-1]
        found = health(net, one, two, layer=layer, seed=self.seed)
        for name, value in found._asdict().items():
            # sync_dist does nothing beside rank_zero_only, but keeps Lightning from recommending it
            pl_module.log(f"test/{name}", value, sync_dist=True, rank_zero_only=True)
        log.info(health_line(found, layer))


def known(squares: Squares, stats: Stats) -> Known:
    """Generated images as the network sees them, with their labels and masks."""
    images = normalize(torch.from_numpy(squares.images), stats)
    return Known(*as_batch(images, torch.from_numpy(squares.labels)), torch.from_numpy(squares.masks))


def health_line(found: Health, layer: str) -> str:
    """`Grad-CAM at stage3: pointing game 99.7%  energy 4.9x area  right of two 98.2%  random |rho| 0.10`."""
    return (
        f"Grad-CAM at {layer}: pointing game {found.pointing_game:.1%}  "
        f"energy {found.energy_ratio:.1f}x area  right of two {found.class_discriminative:.1%}  "
        f"random |rho| {found.spearman_random:.2f}"
    )
