"""Signs that a training goes wrong, as numbers.

Shapes: B batch, C channels, h and w of a layer's maps.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from src.attribution.capture import on_net
from src.models.cost import evaluating


def dead_shares(net: nn.Module, images: Tensor) -> dict[str, float]:
    """For each ReLU, the share of its channels that are 0 at every place of every image.

    A dead unit gets no gradient from this batch (Maas et al. 2013); one that is dead on all batches stays so.

    Args:
        net: the network; modes and statistics stay as they are.
        images: (B, 3, H, W), normalized.

    Returns:
        name of the ReLU -> share, 0 to 1; of one that is called several times, over all calls.
    """
    alive: dict[str, list[Tensor]] = {}
    handles = [
        module.register_forward_hook(
            # At once: the next layer may change it in place
            lambda _module, _inputs, output, name=name: alive.setdefault(name, []).append(fires(output))
        )
        for name, module in net.named_modules()
        if isinstance(module, nn.ReLU)
    ]
    try:
        with torch.no_grad(), evaluating(net):
            net.forward(on_net(net, images))
    finally:
        for handle in handles:
            handle.remove()
    return {name: 1.0 - float(torch.cat(calls).float().mean()) for name, calls in alive.items()}


def fires(output: Tensor) -> Tensor:
    """(B, C) or (B, C, h, w) -> (C,) bool: which channels are positive anywhere."""
    return (output > 0).transpose(0, 1).flatten(1).any(1)


def is_chance(accuracy: float, num_classes: int) -> bool:
    """Whether an accuracy is no better than guessing, with a tenth of tolerance."""
    return accuracy <= 1.1 / num_classes


def is_lost_in_validation(loss: float, train_loss: float, num_classes: int) -> bool:
    """Whether a network in evaluation mode is far worse than the guess that all classes are equally likely.

    That guess has a loss of log(num_classes). A training loss below it says that the weights are fine.
    """
    return train_loss < math.log(num_classes) and loss > 1.5 * math.log(num_classes)


def steadily(values: Sequence[float], low: float, high: float, count: int) -> bool:
    """Whether the last `count` values all lie above `low` and below `high`; false while there are fewer."""
    last = values[-count:]
    return len(last) == count and all(low < value < high for value in last)
