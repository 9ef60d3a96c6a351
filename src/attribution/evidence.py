"""Exact evidence maps of networks that end in global average pooling and a linear layer.

There `logit_k = b_k + sum_c W_kc mean_hw(A_c)`, so that the map `E_k = sum_c W_kc A_c / (h w)` says how
much each place adds to the logit: `sum_hw E_k = logit_k - b_k`, with nothing left over (the class
activation maps of Zhou et al. 2016, arXiv:1512.04150, scaled to be complete). `E_a - E_b` says why a
and not b.

Shapes: B batch, C channels, K classes, H and W of the images, h and w of the last maps.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from src.attribution.capture import on_net
from src.models.cost import evaluating


class Evidence(NamedTuple):
    """Logits (B, K) and the map of every class (B, K, h, w)."""

    logits: Tensor
    maps: Tensor


def evidence_maps(features: Tensor, weight: Tensor) -> Tensor:
    """Last activations (B, C, h, w) and the head's weight (K, C) -> (B, K, h, w)."""
    num_pixels = features.shape[2] * features.shape[3]
    return torch.einsum("bchw,kc->bkhw", features, weight) / num_pixels


def evidence(net: nn.Module, images: Tensor) -> Evidence:
    """Logits and evidence maps of all classes in one forward pass, with no backward.

    Raises:
        ValueError: the network does not end in global average pooling and one linear layer.
    """
    pool, head = _pool_and_head(net)
    seen: dict[str, Tensor] = {}

    def keep_pooled(_pool: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.update(features=inputs[0], pooled=output)

    def keep_head(_head: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.update(head_input=inputs[0], head_output=output)

    handles = [pool.register_forward_hook(keep_pooled), head.register_forward_hook(keep_head)]
    try:
        with torch.no_grad(), evaluating(net):
            logits = net.forward(on_net(net, images))
    finally:
        for handle in handles:
            handle.remove()
    if not torch.equal(seen["pooled"].flatten(1), seen["head_input"]) or logits is not seen["head_output"]:
        raise ValueError(_without_head(net, "something lies between or after them"))
    return Evidence(logits, evidence_maps(seen["features"], head.weight.detach()))


def _pool_and_head(net: nn.Module) -> tuple[nn.AdaptiveAvgPool2d, nn.Linear]:
    """The network's global average pooling and its last linear layer.

    Raises:
        ValueError: it lacks one of them.
    """
    modules = list(net.modules())
    pools = [m for m in modules if isinstance(m, nn.AdaptiveAvgPool2d) and m.output_size in (1, (1, 1))]
    heads = [m for m in modules if isinstance(m, nn.Linear)]
    if not pools or not heads:
        raise ValueError(
            _without_head(net, "it has no AdaptiveAvgPool2d(1)" if heads else "it has no Linear")
        )
    return pools[-1], heads[-1]


def _without_head(net: nn.Module, why: str) -> str:
    return (
        f"evidence maps need a network that ends in global average pooling and one linear layer: "
        f"{type(net).__name__} does not ({why}). Grad-CAM works for it."
    )
