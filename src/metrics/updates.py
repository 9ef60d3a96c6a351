"""How far one optimizer step moves the weights, and how far it should once training has settled.

A weight tensor w before a normalization is scale-invariant: gradients are orthogonal to it and make
it grow, weight decay shrinks it, and the two balance after about 1 / (lr * weight_decay) steps (with
SGD's momentum m, 1 - m times as many). From then on ||dw|| / ||w||, and with it the angle by which w turns
in a step, depends on the optimizer's numbers alone: not on the gradient's size, the layer or the loss (van
Laarhoven 2017, arXiv:1706.05350; Wan et al. 2021, arXiv:2006.08419; Kosson et al. 2023, arXiv:2305.17212).

Norms are Euclidean and in float64; several tensors count as one long vector.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from src.models.cost import evaluating

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_PER_CHANNEL = (*BATCH_NORMS, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
NORMS = (*_PER_CHANNEL, nn.GroupNorm, nn.LayerNorm)
_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_HOMOGENEOUS = (nn.MaxPool2d, nn.AvgPool2d, nn.Identity)  # twice the input is twice the output


def norm(tensors: Sequence[Tensor]) -> float:
    """||tensors||."""
    squares = [torch.linalg.vector_norm(t, dtype=torch.float64).square() for t in tensors]
    return float(torch.stack(squares).sum().sqrt())


def relative_update(before: Sequence[Tensor], after: Sequence[Tensor]) -> float:
    """||after - before|| / ||before||; inf or nan where all was zero before."""
    moved = norm([a.double() - b.double() for b, a in zip(before, after, strict=True)])
    start = norm(before)
    return moved / start if start else math.inf if moved else math.nan


def angle(before: Sequence[Tensor], after: Sequence[Tensor]) -> float:
    """Degrees between the two vectors, in [0, 180]; nan where one is zero.

    2 atan2(|u - v|, |u + v|) of the unit vectors (Kahan 2006, "How futile are mindless assessments of
    roundoff", section 12): the cosine of a small angle is 1 in floating point, and its acos 0.
    """
    lengths = norm(before), norm(after)
    if not all(lengths):
        return math.nan
    pairs = [(b.double() / lengths[0], a.double() / lengths[1]) for b, a in zip(before, after, strict=True)]
    return math.degrees(2 * math.atan2(norm([u - v for u, v in pairs]), norm([u + v for u, v in pairs])))


def clipped_share(
    gradients: Sequence[Tensor], clip: float | None, algorithm: str | None, total_norm: float
) -> float:
    """Share of the gradient values that clipping is about to change.

    Args:
        gradients: before clipping.
        clip: the Trainer's `gradient_clip_val`; None or 0: no clipping.
        algorithm: `value` clips each value into [-clip, clip]; `norm`, the Trainer's default, shrinks all
            values alike where `total_norm` exceeds `clip`.
        total_norm: norm of the whole network's gradient.
    """
    if not clip:
        return 0.0
    if algorithm != "value":
        return float(total_norm > clip)
    return sum(int((g.abs() > clip).sum()) for g in gradients) / sum(g.numel() for g in gradients)


def sgd_equilibrium(
    *, lr: float, weight_decay: float, momentum: float = 0.0, nesterov: bool = False
) -> float:
    """sqrt(2 lr weight_decay / (1 + m)) for SGD with coupled weight decay and momentum m.

    Nesterov's momentum has the same balance of ||w||, but its step weighs the newest gradient with 1 + m
    and older ones with m^2, m^3, …: by the same argument sqrt(2 lr weight_decay (1 + 2m - 2m^3) / (1 + m)),
    16 % more at m = 0.9.
    """
    spread = 1 + 2 * momentum - 2 * momentum**3 if nesterov else 1.0
    return math.sqrt(2 * lr * weight_decay * spread / (1 + momentum))


def adamw_equilibrium(*, lr: float, weight_decay: float, beta1: float) -> float:
    """sqrt(2 lr weight_decay (1 - beta1) / (1 + beta1)) for decay that is decoupled but scaled by lr."""
    return math.sqrt(2 * lr * weight_decay * (1 - beta1) / (1 + beta1))


def _sgd(group: dict[str, Any]) -> float | None:
    if group["dampening"]:
        return None
    return sgd_equilibrium(
        lr=float(group["lr"]),
        weight_decay=group["weight_decay"],
        momentum=group["momentum"],
        nesterov=group["nesterov"],
    )


def _adamw(group: dict[str, Any]) -> float | None:
    return adamw_equilibrium(
        lr=float(group["lr"]), weight_decay=group["weight_decay"], beta1=float(group["betas"][0])
    )


LINES: dict[type[Optimizer], Callable[[dict[str, Any]], float | None]] = {SGD: _sgd, AdamW: _adamw}


def equilibrium(group: dict[str, Any], optimizer: Optimizer) -> float | None:
    """||dw|| / ||w|| at which scale-invariant weights of this parameter group settle.

    None where no such line is known: no weight decay, or an optimizer that is not in `LINES`.
    """
    line = LINES.get(type(optimizer))
    return line(group) if line and group["weight_decay"] else None


def scale_invariant(net: nn.Module, image_shape: Sequence[int]) -> set[str]:
    """Names of the convolutions whose weights' length changes nothing, as a norm takes their output.

    Found by sending one black image (C, H, W) through the network in eval mode: the tensor that a norm is
    given is the one that a convolution returned, or a pooling made of it. A convolution's bias must be none,
    or taken away by a norm of each channel. An output that is used elsewhere as well is not noticed.
    """
    source: dict[int, tuple[str, nn.Module, Tensor]] = {}  # by id; the tensor stays alive, so ids stay apart
    found: set[str] = set()

    def look(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, _CONVS):
            source[id(output)] = (name, module, output)
        elif id(inputs[0]) not in source:
            return
        elif isinstance(module, _HOMOGENEOUS):
            source[id(output)] = (*source[id(inputs[0])][:2], output)
        elif isinstance(module, NORMS):
            conv_name, conv, _ = source[id(inputs[0])]
            if conv.bias is None or isinstance(module, _PER_CHANNEL):
                found.add(conv_name)

    leaves = [
        (name, module)
        for name, module in net.named_modules()
        if isinstance(module, _CONVS + _HOMOGENEOUS + NORMS)
    ]
    handles = [
        module.register_forward_hook(lambda m, inputs, output, name=name: look(name, m, inputs, output))
        for name, module in leaves
    ]
    parameter = next(net.parameters())
    image = torch.zeros(1, *image_shape, dtype=parameter.dtype, device=parameter.device)
    try:
        with torch.no_grad(), evaluating(net):
            net.forward(image)  # not __call__, which may be compiled
    finally:
        for handle in handles:
            handle.remove()
    return found


def settled(values: Sequence[float]) -> float:
    """Median of the last quarter, at least of one value; inf and nan are left out, nan if none is left."""
    last = np.asarray(values[-math.ceil(len(values) / 4) :], dtype=np.float64)
    finite = last[np.isfinite(last)]
    return float(np.median(finite)) if finite.size else math.nan
