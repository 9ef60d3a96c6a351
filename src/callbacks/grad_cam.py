"""Where the network looked when it was wrong: Grad-CAM."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from src.attribution.capture import layer_named, map_layers
from src.attribution.grad_cam import captum_grad_cam
from src.callbacks.evaluation import Evaluation
from src.callbacks.misclassified import PAGE, PagedMistakes, cases
from src.drawing.mistakes import grad_cam_block

Method = Callable[[nn.Module, Tensor, Tensor, Sequence[str]], dict[str, Tensor]]


@dataclass(kw_only=True)
class GradCam(PagedMistakes):
    """Grad-CAM of mistakes, for the predicted and the actual class, in several layers.

    Args:
        layers: dotted names; None: the last four parts with maps, such as a ResNet's stages.
        method: (net, images, targets, layers) -> maps, of `src.attribution.grad_cam`.
    """

    name = "grad_cam"

    layers: Sequence[str] | None = None
    method: Method = captum_grad_cam

    def check(self, net: nn.Module) -> None:
        for layer in self.layers or []:
            layer_named(net, layer)

    def blocks(self, seen: Evaluation, rows: np.ndarray) -> list[Image.Image]:
        layers = self.layers or map_layers(seen.net, seen.image_size)
        blocks: list[Image.Image] = []
        # Page by page: the graphs of all of them could take more memory than training
        for start in range(0, len(rows), PAGE):
            page = rows[start : start + PAGE]
            images = seen.inputs_at(seen.indices[page])
            targets = torch.from_numpy(np.concatenate([seen.predicted[page], seen.labels[page]]))
            maps = self.method(seen.net, torch.cat([images, images]), targets, layers)
            pairs = {layer: torch.stack(both.float().cpu()[:, 0].chunk(2)) for layer, both in maps.items()}
            blocks += [
                grad_cam_block(case, {layer: pairs[layer][:, row] for layer in layers})
                for row, case in enumerate(cases(seen, page))
            ]
        return blocks
