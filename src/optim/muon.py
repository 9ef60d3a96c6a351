"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): steps of kernels are orthogonal matrices."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

TINY = 1e-12  # a kernel of zeros stays one
_QUINTIC = 3.4445, -4.7750, 2.0315  # Jordan's: steep at 0, so that small singular values rise fast


class Muon(Optimizer):
    """Orthogonalized momentum for convolution kernels; everything else is moved by another optimizer.

    A kernel w (O, C, kh, kw) with gradient g is a matrix of O rows:

        b <- momentum b + g
        u  = g + momentum b (nesterov), or b
        w <- sqrt(O) w / ||w|| (normalize), or (1 - lr weight_decay) w
        w <- w - lr U V^T, where u = U S V^T

    U V^T comes from Newton-Schulz steps, after which the singular values lie around 1, not at it. There is
    no factor for a kernel's shape. Both parts are one optimizer: groups of kernels come first, state is
    shared.

    Args:
        params: parameter groups; each is split into its kernels (four axes) and its others.
        rest: called with the groups of the others.
        lr: of the kernels.
        momentum: of the kernels, as are the following.
        nesterov: look one step ahead.
        ns_steps: Newton-Schulz steps.
        normalize: rescale each kernel to norm sqrt(O) before its step; its weight decay then does nothing.
        weight_decay: decoupled.
    """

    def __init__(
        self,
        params: Any,
        *,
        rest: Callable[[list[dict[str, Any]]], Optimizer],
        lr: float,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        normalize: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        params = list(params)
        groups = params if isinstance(params[0], dict) else [{"params": params}]
        kernels = [part(group, kernels=True) for group in groups]
        others = [group for group in (part(group, kernels=False) for group in groups) if group["params"]]
        self.rest = rest(others) if others else None
        defaults = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps}
        defaults |= {"normalize": normalize, "weight_decay": weight_decay}
        super().__init__(
            [group for group in kernels if group["params"]] + (self.rest.param_groups if self.rest else []),
            defaults,
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all groups; returns what `closure` does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["kernels"]:
                self.step_kernels(group)
        if self.rest:  # a resume or a copy has new groups and a new state
            self.rest.param_groups = [group for group in self.param_groups if not group["kernels"]]
            self.rest.state = self.state
            self.rest.step()
        return loss

    def step_kernels(self, group: dict[str, Any]) -> None:
        kernels = [p for p in group["params"] if p.grad is not None]
        if not kernels:
            return
        lr, momentum = group["lr"], group["momentum"]
        gradients = [p.grad for p in kernels]
        for p in kernels:
            if not self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        buffers = [self.state[p]["momentum_buffer"] for p in kernels]
        # torch's own optimizers use the same functions; it has no public ones for many tensors at once
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, gradients)
        ahead = torch._foreach_add(gradients, buffers, alpha=momentum) if group["nesterov"] else buffers
        if group["normalize"]:
            norms = torch._foreach_norm(kernels)
            scales = [len(p) ** 0.5 / norm.clamp(min=TINY) for p, norm in zip(kernels, norms, strict=True)]
            torch._foreach_mul_(kernels, scales)
        elif group["weight_decay"]:
            torch._foreach_mul_(kernels, 1 - lr * group["weight_decay"])
        for p, u in zip(kernels, ahead, strict=True):
            p.add_(orthogonal(u.flatten(1), group["ns_steps"]).view(p.shape), alpha=-lr)


def part(group: dict[str, Any], *, kernels: bool) -> dict[str, Any]:
    """A group's kernels, or what is none."""
    params = [p for p in group["params"] if (p.ndim == 4) == kernels]
    return {**group, "params": params, "kernels": kernels}


def orthogonal(matrix: Tensor, steps: int) -> Tensor:
    """U V^T of `matrix` = U S V^T, nearly, in its dtype: quintic Newton-Schulz steps in bfloat16."""
    wide = matrix.mT if len(matrix) > matrix.shape[1] else matrix
    x = wide.to(torch.bfloat16, copy=True, memory_format=torch.contiguous_format)
    x /= x.norm().clamp(min=1e-7)
    a, b, c = _QUINTIC
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x if wide is matrix else x.mT).to(matrix.dtype).contiguous()
