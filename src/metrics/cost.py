"""What a network costs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


class LayerCost(NamedTuple):
    """One part of a network: its output's shape (C, H, W), its parameters, its MACs an image."""

    name: str
    shape: tuple[int, ...]
    num_params: int
    macs: int


def num_params(net: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def layer_costs(net: nn.Module, image_size: int, num_channels: int = 3) -> list[LayerCost]:
    """Costs of the network's direct children, in the order in which an image meets them.

    MACs are the multiply-accumulates of convolutions and matrix products of one forward pass.
    """
    names = {child: name for name, child in net.named_children()}
    costs: list[LayerCost] = []
    counter = FlopCounterMode(display=False)
    before = 0

    def enter(_child: nn.Module, _inputs: object) -> None:
        nonlocal before
        before = counter.get_total_flops()

    def leave(child: nn.Module, _inputs: object, output: Tensor) -> None:
        macs = (counter.get_total_flops() - before) // 2  # a multiply-accumulate is two of its FLOPs
        costs.append(LayerCost(names[child], tuple(output.shape[1:]), num_params(child), macs))

    hooks = [child.register_forward_pre_hook(enter) for child in names]
    handles = hooks + [child.register_forward_hook(leave) for child in names]
    parameter = next(net.parameters())
    image = torch.zeros(
        1, num_channels, image_size, image_size, dtype=parameter.dtype, device=parameter.device
    )
    try:
        with torch.no_grad(), evaluating(net), counter:
            net.forward(image)  # not __call__, which may be compiled
    finally:
        for handle in handles:
            handle.remove()
    return costs


def count_macs(net: nn.Module, image_size: int, num_channels: int = 3) -> int:
    """Multiply-accumulates of convolutions and matrix products for one image, forward only."""
    return sum(cost.macs for cost in layer_costs(net, image_size, num_channels))


def training_pflop(macs: float, num_images: float) -> float:
    """Compute of training on so many images, in 10^15 floating-point operations.

    A multiply-accumulate is two operations, and the backward pass costs about twice the forward pass
    (Kaplan et al. 2020, arXiv:2001.08361, section 2.1): six operations a MAC and image.
    """
    return 6 * macs * num_images / 1e15


def passes_pflop(passes: Mapping[int, int], macs: Mapping[int, int]) -> float:
    """Compute of image passes, in 10^15 floating-point operations; see `training_pflop`.

    Args:
        passes: image size in pixels -> number of forward passes; an image learned from counts three.
        macs: image size -> the network's MACs.
    """
    return sum(2 * macs[size] * count for size, count in passes.items()) / 1e15


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Eval mode inside; every module's own mode again behind."""
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
