"""What the network is shown: some augmented training images."""

from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from src.callbacks.board import add_picture
from src.drawing.sheet import packed, save

_PIXELS = 96  # height and width of an image in the grid


class TrainingSamples(L.Callback):
    """A grid of the first training images as the first epoch augments them, as PNG and in TensorBoard.

    Reads the dataset, not the loader, so no random draw of the run changes.
    """

    def __init__(self, *, path: str, num_images: int = 32) -> None:
        self.path, self.num_images = Path(path), num_images

    @rank_zero_only
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        dataset = trainer.train_dataloader.dataset  # type: ignore[union-attr]
        images, _ = dataset.__getitems__(range(min(self.num_images, len(dataset))))
        stats = trainer.datamodule.stats  # type: ignore[attr-defined]
        grid = sample_grid(images.cpu(), stats.mean, stats.std)
        picture = packed(to_pil_image(grid))
        save(picture, self.path.parent, self.path.stem)
        add_picture(trainer, "train/images", picture)


def sample_grid(images_bchw: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Normalized images -> one (3, height, width) uint8 picture, eight a row, enlarged without smoothing."""
    channels = torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)
    pixels = (images_bchw * channels[1] + channels[0]).clamp(0, 1)
    factor = max(1, _PIXELS // images_bchw.shape[-1])
    large = pixels.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    grid: Tensor = make_grid(large, nrow=8, padding=4, pad_value=1.0)
    return (grid * 255).round().to(torch.uint8)
