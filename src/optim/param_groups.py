"""Which parameters weight decay touches, and the L1 penalty."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def param_groups(net: nn.Module, *, decay_norm_and_bias: bool) -> list[dict[str, Any]]:
    """One group of all parameters, or matrices and kernels apart from norms and biases.

    The second group gets `weight_decay=0`, as in He et al. 2019 (arXiv:1812.01187, section 3.1).
    """
    parameters = [p for p in net.parameters() if p.requires_grad]
    if decay_norm_and_bias:
        return [{"params": parameters}]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim >= 2]},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def l1_norm(parameters: Iterable[Tensor]) -> Tensor:
    """Sum of absolute values over all parameters, a scalar."""
    return torch.stack([p.abs().sum() for p in parameters]).sum()
