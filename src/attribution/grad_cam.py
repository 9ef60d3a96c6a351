"""Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391): where the evidence for a class lies in a layer.

Shapes: B batch, C channels, H and W of the images, h and w of a layer's maps.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from src.attribution.capture import capture, explaining, layer_named, on_net


def grad_cam(net: nn.Module, images: Tensor, targets: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Grad-CAM of all `layers` in one forward and one backward pass.

    The map of a layer with activations A is `sum_c mean_hw(d logit_target / d A_c) A_c`: signed,
    without the paper's final ReLU, as Captum's `LayerGradCam` returns it.

    Args:
        net: BCHW -> logits (B, K); modes, gradients and statistics stay as they are.
        images: (B, 3, H, W), normalized.
        targets: (B,) class indices.
        layers: dotted names of layers that return (B, C, h, w).

    Returns:
        layer -> (B, 1, h, w), detached.

    Raises:
        ValueError: no such layer, or one without maps.
    """
    with explaining(net), capture(net, layers) as activations:
        inputs = on_net(net, images).requires_grad_()  # also a network whose weights are frozen has a graph
        logits = net.forward(inputs)
        score = logits.gather(1, on_net(net, targets).unsqueeze(1)).sum()
        names = list(activations)
        gradients = torch.autograd.grad(score, [activations[name] for name in names])
        return {
            name: _weighted_sum(activations[name].detach(), gradient)
            for name, gradient in zip(names, gradients, strict=True)
        }


def _weighted_sum(activations: Tensor, gradients: Tensor) -> Tensor:
    """`sum_c mean_hw(gradients_c) activations_c`: (B, C, h, w) twice -> (B, 1, h, w)."""
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1, keepdim=True)


def captum_grad_cam(
    net: nn.Module, images: Tensor, targets: Tensor, layers: Sequence[str]
) -> dict[str, Tensor]:
    """The same maps by Captum's `LayerGradCam`, a forward and a backward pass for each layer.

    Arguments, result and errors are those of `grad_cam`.
    """
    from captum.attr import LayerGradCam

    maps = {}
    with explaining(net):
        inputs, classes = on_net(net, images).requires_grad_(), on_net(net, targets)
        for name in layers:
            with capture(net, [name]):  # refuses a layer without maps
                method = LayerGradCam(net.forward, layer_named(net, name))
                maps[name] = method.attribute(inputs, classes).detach()
    return maps
