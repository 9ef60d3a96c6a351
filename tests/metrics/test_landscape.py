"""Lines through weight space, on networks whose loss one can work out."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from src.landscape.line import (
    Point,
    along,
    barrier,
    filter_normalized,
    measure_statistics,
    random_direction,
    straight_to,
)


def labelled(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 2, 2, generator=generator), torch.randint(3, (count,), generator=generator)


def linear(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3))


def with_norm(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))


def test_each_filter_of_a_direction_gets_the_length_of_the_weights_filter() -> None:
    weights = torch.tensor([[[3.0, 4.0]], [[5.0, 12.0]]])  # two filters, of length 5 and 13
    got = filter_normalized(torch.tensor([[[0.0, 2.0]], [[-7.0, 0.0]]]), weights)
    assert got.tolist() == [[[0.0, 5.0]], [[-13.0, 0.0]]]
    assert filter_normalized(torch.ones(4), torch.ones(4)).tolist() == [0.0] * 4
    assert filter_normalized(torch.zeros(2, 3), torch.ones(2, 3)).tolist() == [[0.0] * 3] * 2


def test_losses_along_a_direction_are_those_of_the_moved_weights() -> None:
    net, (images, labels) = linear(0), labelled(7)
    direction = random_direction(net, seed=3)
    batches = [(images[:5], labels[:5]), (images[5:], labels[5:])]
    places = [-1.0, 0.0, 0.5]
    for point, place in zip(
        along(net, direction, places, batches=batches, statistics=[]), places, strict=True
    ):
        weights = net[1].weight + place * direction["1.weight"]
        logits = images.flatten(1) @ weights.T + net[1].bias
        assert point.place == place
        assert point.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-6)
        assert point.acc == pytest.approx((logits.argmax(1) == labels).float().mean().item())


def test_the_straight_line_ends_at_the_other_network_and_the_network_stays() -> None:
    net, other, (images, labels) = with_norm(0), with_norm(1), labelled(6)
    before = deepcopy(net.state_dict())
    direction = straight_to(before, other.state_dict())
    points = along(net, direction, [0.0, 1.0], batches=[(images, labels)], statistics=[images])
    for point, end in zip(points, (net, other), strict=True):
        fresh = deepcopy(end)
        measure_statistics(fresh, [images])
        assert point.loss == pytest.approx(F.cross_entropy(fresh(images), labels).item(), rel=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert "1.num_batches_tracked" not in direction


def test_statistics_are_means_over_the_batches() -> None:
    net, first, second = with_norm(0), labelled(6)[0], labelled(6, seed=1)[0]
    measure_statistics(net, [first, second])
    outputs = [net[0](batch).transpose(0, 1).flatten(1) for batch in (first, second)]
    means, variances = (torch.stack([getattr(o, f)(1) for o in outputs]).mean(0) for f in ("mean", "var"))
    torch.testing.assert_close(net[1].running_mean, means)
    torch.testing.assert_close(net[1].running_var, variances)
    assert net[1].momentum == 0.1
    assert not any(module.training for module in net.modules())


def test_the_barrier_is_measured_from_the_chord() -> None:
    # Half-way the straight line between 1 and 2 is at 1.5
    assert barrier([Point(0, 1.0, 0.0), Point(0.5, 3.0, 0.0), Point(1, 2.0, 0.0)]) == pytest.approx(1.5)
    assert barrier([Point(0, 1.0, 0.0), Point(0.5, 0.2, 0.0), Point(1, 2.0, 0.0)]) == 0.0
