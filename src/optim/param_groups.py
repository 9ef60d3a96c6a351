"""Which parameters get which learning rate and weight decay, and the L1 penalty."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_Kind = Literal["kernel", "head", "scale", "bias"]
Factors = Mapping[str, float]


def make_optimizer(
    factory: Callable[[Any], Optimizer],
    net: nn.Module,
    *,
    decay_norm_and_bias: bool = True,
    lr_factors: Factors | None = None,
    decay_factors: Factors | None = None,
) -> Optimizer:
    """Call `factory` with the parameters that are trained, in as few groups as the factors ask for.

    The factors multiply what `factory` gives to a group. Kernels keep it: theirs is the first group.

    Args:
        factory: parameter groups -> optimizer.
        net: frozen parameters are left out.
        decay_norm_and_bias: False keeps weight decay off parameters with fewer than two axes, as in He et
            al. 2019 (arXiv:1812.01187, section 3.1).
        lr_factors: by the kinds of `kind_of`, `kernel` apart; 1 where there is none.
        decay_factors: the same of the weight decay.
    """
    lr_factors, decay_factors = lr_factors or {}, decay_factors or {}
    head = head_of(net)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {(1.0, 1.0): []}
    for name, p in net.named_parameters():
        if p.requires_grad:
            kind = kind_of(name, p, head)
            spared = p.ndim < 2 and not decay_norm_and_bias
            decay = 0.0 if spared else float(decay_factors.get(kind, 1.0))
            groups.setdefault((float(lr_factors.get(kind, 1.0)), decay), []).append(p)
    optimizer = factory(
        [
            {"params": params, "lr_factor": lr, "decay_factor": decay}
            for (lr, decay), params in groups.items()
            if params
        ]
    )
    for group in optimizer.param_groups:
        group["lr"] *= group.pop("lr_factor")
        decay = group.pop("decay_factor")
        if "weight_decay" in group:
            group["weight_decay"] *= decay
    return optimizer


def head_of(net: nn.Module) -> nn.Module | None:
    """The classifier: the last linear layer."""
    return next((module for module in reversed(list(net.modules())) if isinstance(module, nn.Linear)), None)


def kind_of(name: str, parameter: nn.Parameter, head: nn.Module | None) -> _Kind:
    """What a parameter is: the head's, another layer's bias, a norm's scale, or a kernel or matrix."""
    if head is not None and any(parameter is own for own in head.parameters()):
        return "head"
    if name.rpartition(".")[2] == "bias":
        return "bias"
    return "kernel" if parameter.ndim >= 2 else "scale"


def lr_ratios(optimizer: Optimizer) -> list[float]:
    """Each group's learning rate in units of the optimizer's own."""
    default = optimizer.defaults.get("lr")
    return [group["lr"] / default if default else 1.0 for group in optimizer.param_groups]


def l1_norm(parameters: Iterable[Tensor]) -> Tensor:
    """Sum of absolute values over all parameters, a scalar."""
    return torch.stack([p.abs().sum() for p in parameters]).sum()
