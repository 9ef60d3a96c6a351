"""Where the network looked when it was wrong: Grad-CAM."""

from collections.abc import Callable, Sequence

import lightning as L
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from src.attribution.capture import layer_named, map_layers
from src.attribution.grad_cam import captum_grad_cam
from src.callbacks.evaluation import Evaluation
from src.callbacks.mistakes import PAGE, MistakesCallback, cases, show_pages
from src.drawing.mistakes import grad_cam_block

Method = Callable[[nn.Module, Tensor, Tensor, Sequence[str]], dict[str, Tensor]]


class GradCam(MistakesCallback):
    """Grad-CAM of mistakes, for the predicted and the actual class, in several layers.

    TensorBoard gets pages of `PAGE` mistakes, the run's folder one sheet of the first ones.

    Args:
        num_in_png: mistakes in `grad_cam.png`.
        layers: dotted names; None: the last four parts with maps, such as a ResNet's stages.
        method: (net, images, targets, layers) -> maps, of `src.attribution.grad_cam`.
    """

    name = "grad_cam"
    paged = True

    def __init__(
        self,
        *,
        folder: str,
        every_n_epochs: int | None = 5,
        num_images: int = 25,
        num_in_png: int = 6,
        layers: Sequence[str] | None = None,
        method: Method = captum_grad_cam,
    ) -> None:
        super().__init__(folder=folder, every_n_epochs=every_n_epochs, num_images=num_images)
        self.num_in_png, self.layers, self.method = num_in_png, layers, method

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find the layers now: a wrong name must not wait for the end of a training."""
        net: nn.Module = pl_module.net  # type: ignore[assignment]
        for layer in self.layers or []:
            layer_named(net, layer)

    def show_rows(self, seen: Evaluation, rows: np.ndarray) -> None:
        said = seen.predictions
        layers = self.layers or map_layers(seen.net, seen.image_size)
        blocks: list[Image.Image] = []
        # Page by page: the graphs of all of them could take more memory than training
        for start in range(0, len(rows), PAGE):
            page = rows[start : start + PAGE]
            images = seen.inputs_at(said.indices[page])
            targets = torch.from_numpy(np.concatenate([said.predicted[page], said.labels[page]]))
            maps = self.method(seen.net, torch.cat([images, images]), targets, layers)
            pairs = {layer: torch.stack(both.float().cpu()[:, 0].chunk(2)) for layer, both in maps.items()}
            blocks += [
                grad_cam_block(case, {layer: pairs[layer][:, row] for layer in layers})
                for row, case in enumerate(cases(seen, page))
            ]
        show_pages(self, seen, blocks, self.num_in_png)
