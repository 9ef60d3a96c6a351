"""The loss along a line through weight space: a random direction, or straight to another network's weights.

States are what `net.state_dict()` returns; a direction has some of its names.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.attribution.capture import on_net
from src.metrics.updates import BATCH_NORMS
from src.models.cost import evaluating

State = Mapping[str, Tensor]
Batch = tuple[Tensor, Tensor]  # images BCHW float32, labels B int64


class Point(NamedTuple):
    """A place on the line, and the mean cross-entropy and accuracy there."""

    place: float
    loss: float
    acc: float


def filter_normalized(direction: Tensor, weights: Tensor) -> Tensor:
    """`direction` with each filter as long as the same filter of `weights`, both (filters, …).

    Li et al. 2018, arXiv:1712.09913, section 4: without it the scale of a layer's weights, which means
    nothing before a norm, decides how sharp a minimum looks. Vectors (biases, and a norm's scale and
    shift) stay where they are, as in the authors' code.
    """
    if weights.ndim < 2:
        return torch.zeros_like(weights)
    sizes = [t.flatten(1).norm(dim=1).view(-1, *[1] * (t.ndim - 1)) for t in (weights, direction)]
    scaled: Tensor = direction * sizes[0] / sizes[1].clamp_min(torch.finfo(direction.dtype).tiny)
    return scaled


def random_direction(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """A Gaussian direction of the network's parameters, filter-normalized."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: filter_normalized(torch.randn(p.shape, generator=generator).to(p), p.detach())
        for name, p in net.named_parameters()
    }


def straight_to(start: State, end: State) -> dict[str, Tensor]:
    """The direction that leads from one state to another; integers, which count batches, are left out."""
    return {name: end[name] - value for name, value in start.items() if value.is_floating_point()}


def along(
    net: nn.Module,
    direction: State,
    places: Iterable[float],
    *,
    batches: Sequence[Batch],
    statistics: Sequence[Tensor],
) -> list[Point]:
    """Loss and accuracy at the network's weights plus each of `places` times `direction`.

    BatchNorm's statistics belong to the weights: at every place they are measured again. The network is
    afterwards what it was.

    Args:
        net: the network; any mode.
        direction: see `random_direction` and `straight_to`.
        places: multiples of the direction.
        batches: images and labels that are evaluated.
        statistics: training images, in batches, for BatchNorm; not used by networks without.
    """
    start = {name: value.clone() for name, value in net.state_dict().items()}
    points = []
    with evaluating(net):
        try:
            for place in places:
                moved = {n: v + place * direction[n].to(v) if n in direction else v for n, v in start.items()}
                net.load_state_dict(moved)
                measure_statistics(net, statistics)
                points.append(Point(float(place), *_loss_and_accuracy(net, batches)))
        finally:
            net.load_state_dict(start)
    return points


def measure_statistics(net: nn.Module, images: Sequence[Tensor]) -> None:
    """Set BatchNorm's running statistics to their means over batches of images; leaves eval mode."""
    norms = [
        module for module in net.modules() if isinstance(module, BATCH_NORMS) and module.track_running_stats
    ]
    momenta = [module.momentum for module in norms]
    net.eval()
    for module in norms:
        module.reset_running_stats()
        module.momentum = None  # a plain mean over the batches
        module.train()
    with torch.no_grad():
        for batch in images if norms else ():
            net(on_net(net, batch))
    for module, momentum in zip(norms, momenta, strict=True):
        module.momentum = momentum
        module.eval()


def _loss_and_accuracy(net: nn.Module, batches: Sequence[Batch]) -> tuple[float, float]:
    """Mean cross-entropy in nats, and accuracy, over all images; the network in the mode that it is in."""
    loss, right, count = 0.0, 0, 0
    with torch.no_grad():
        for images, true in batches:
            logits = net(on_net(net, images)).float()
            labels = true.to(logits.device)
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
            right += int((logits.argmax(1) == labels).sum())
            count += len(labels)
    return loss / count, right / count


def barrier(points: Sequence[Point]) -> float:
    """How far the loss on the line rises above the straight line between its values at the ends; at least 0.

    Zero: the two are linearly connected (Frankle et al. 2020, arXiv:1912.05671, section 2). NaN where a loss
    is.
    """
    places, losses = np.array([p.place for p in points]), np.array([p.loss for p in points])
    chord = np.interp(places, places[[0, -1]], losses[[0, -1]])
    return float((losses - chord).max())
