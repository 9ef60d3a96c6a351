"""Which images of a batch a step learns from.

Shapes: B batch, C channels, H height, W width, K classes.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Forward = Callable[[Tensor], Tensor]  # images BCHW -> logits (B, K)
Selection = Callable[[Forward, Tensor, Tensor], tuple[Tensor, Tensor]]


def hardest(forward: Forward, images: Tensor, labels: Tensor, *, fraction: float) -> tuple[Tensor, Tensor]:
    """The `fraction` of images with the highest cross-entropy, at least one, in the order of the batch.

    Selective backpropagation (Jiang et al. 2019, arXiv:1910.00762), with a fixed share instead of a random
    one: a forward pass of every image buys the backward passes of the easy ones.
    """
    losses = F.cross_entropy(forward(images).float(), labels, reduction="none")
    count = max(1, round(fraction * len(labels)))
    kept = losses.topk(count).indices.sort().values
    chosen = images[kept].contiguous(memory_format=memory_format(images))
    return chosen, labels[kept]


def memory_format(images: Tensor) -> torch.memory_format:
    """How these images lie in memory."""
    last = images.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
