"""How kernels start; each function changes a network in place."""

from collections.abc import Callable

from torch import nn

Init = Callable[[nn.Module], None]


def keep(net: nn.Module) -> None:
    """Keep PyTorch's default: kernels and biases are uniform within 1 / sqrt(fan_in)."""


def kaiming(net: nn.Module) -> None:
    """Normal kernels of variance 2 / fan_out (He et al. 2015, arXiv:1502.01852)."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def dirac(net: nn.Module) -> None:
    """Kernels that hand their input on: output channel c starts as input channel c.

    Where there are more output channels, the others keep torch's uniform start (Zagoruyko & Komodakis 2017,
    arXiv:1706.00388; in this form Jordan 2024, arXiv:2404.00498, section 3.2).
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
            nn.init.dirac_(module.weight.data[: module.in_channels])
