"""What a network costs, and a training of it."""

import math
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


def layer_costs(
    net: nn.Module, image_size: int, num_channels: int = 3, *, leaves: bool = False
) -> list[LayerCost]:
    """Costs of the network's direct children, in the order in which an image meets them.

    MACs are the multiply-accumulates of convolutions and matrix products of one forward pass. `leaves`: of
    its single layers instead, such as `stage1.block1.conv1`; one that is used twice is there twice.
    """
    names = {child: name for name, child in net.named_children()}
    if leaves:
        names = {module: name for name, module in net.named_modules() if not list(module.children())}
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


def passes_pflop(passes: Mapping[int, float], macs: Mapping[int, int]) -> float:
    """Compute of image passes, in 10^15 floating-point operations; see `training_pflop`.

    Args:
        passes: image size in pixels -> number of forward passes; an image learned from counts three.
        macs: image size -> the network's MACs.
    """
    return sum(2 * macs[size] * count for size, count in passes.items()) / 1e15


class Length(NamedTuple):
    """How much a training does: optimizer steps, batches, images, and whole epochs."""

    steps: int
    batches: int
    images: int
    epochs: int


def training_length(
    num_images: int,
    batch_size: int,
    *,
    epochs: int,
    max_steps: int = -1,
    limit: int | float = 1.0,
    accumulate: int = 1,
) -> Length:
    """What a training on one device does, by Lightning's rules.

    Args:
        num_images: of an epoch, after the validation split; the last batch may be smaller.
        batch_size: images a batch.
        epochs: at most; -1: any number.
        max_steps: optimizer steps at most; -1: any number.
        limit: batches of an epoch that are used, see `limited`.
        accumulate: batches an optimizer step; the last of an epoch may have fewer.

    Raises:
        ValueError: nothing is trained, or it never ends.
    """
    if epochs < 0 and max_steps < 0:
        raise ValueError("training never ends: set trainer.max_epochs or trainer.max_steps.")
    per_epoch = limited(math.ceil(num_images / batch_size), limit)
    steps_per_epoch = math.ceil(per_epoch / accumulate)
    ends = [epochs * steps_per_epoch] * (epochs >= 0) + [max_steps] * (max_steps >= 0)
    if not min(ends):
        raise ValueError("nothing is trained: raise trainer.limit_train_batches or trainer.max_steps.")
    whole, more_steps = divmod(min(ends), steps_per_epoch)
    more = min(more_steps * accumulate, per_epoch)
    return Length(
        steps=min(ends),
        batches=whole * per_epoch + more,
        images=whole * min(per_epoch * batch_size, num_images) + min(more * batch_size, num_images),
        epochs=whole,
    )


def limited(num_batches: int, limit: int | float) -> int:
    """Batches of a pass under Lightning's `limit_…_batches`: a number of them, or (1.0) a fraction."""
    return int(num_batches * limit) if isinstance(limit, float) else min(num_batches, limit)


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Eval mode inside; every module's own mode afterwards."""
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
