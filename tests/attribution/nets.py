"""Small trained-looking networks and images for the attribution tests."""

from functools import partial

import torch
from torch import Tensor, nn

from src.models.norms import group_norm
from src.models.resnet import ResNet

NORMS = {
    "bn": nn.BatchNorm2d,
    "ln": partial(group_norm, num_groups=1),
    "gn": partial(group_norm, num_groups=4),
}


def resnet(norm: str, *, dtype: torch.dtype = torch.float32) -> ResNet:
    """A narrow ResNet18 in train mode; its norms' weights, biases and statistics are not the initial ones."""
    torch.manual_seed(3)
    net = ResNet(10, NORMS[norm], width=8, strides=[1, 2, 2, 2])
    for name, value in [*net.named_parameters(), *net.named_buffers()]:
        if "norm" in name and value.is_floating_point():
            value.data.uniform_(0.5, 1.5)
    net.head.bias.data.normal_()
    return net.to(dtype)


def images(count: int = 6, *, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=dtype)


def relative(got: Tensor, want: Tensor) -> float:
    """Largest difference, in units of the largest wanted value."""
    return float((got - want).abs().max() / want.abs().max())
