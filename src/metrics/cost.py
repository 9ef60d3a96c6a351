"""What a network costs."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def num_params(net: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def count_macs(net: nn.Module, image_size: int, num_channels: int = 3) -> int:
    """Multiply-accumulates of convolutions and matrix products for one image, forward only.

    Leaves the network's mode and statistics as they were.
    """
    parameter = next(net.parameters())
    image = torch.zeros(1, num_channels, image_size, image_size, dtype=parameter.dtype, device=parameter.device)
    modes = {module: module.training for module in net.modules()}
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            net.eval()(image)
    finally:
        for module, training in modes.items():
            module.training = training
    return int(counter.get_total_flops()) // 2  # it counts a multiply-accumulate as two
