"""Sizes of weight updates against triangles, and the equilibria against random walks."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from src.metrics.updates import (
    adamw_equilibrium,
    angle,
    clipped_share,
    equilibrium,
    norm,
    relative_update,
    scale_invariant,
    settled,
    sgd_equilibrium,
)
from src.models.norms import LayerNorm2d, group_norm
from src.models.resnet import ResNet
from src.models.resnet9 import ResNet9


def vector(*values: float) -> Tensor:
    return torch.tensor(values)


def test_norm_of_several_tensors_is_that_of_one_long_vector() -> None:
    assert norm([vector(3.0, 4.0)]) == 5.0
    assert norm([vector(3.0), vector(4.0).view(1, 1), vector(12.0)]) == 13.0


def test_relative_update_is_the_length_of_the_step_not_of_the_difference_of_lengths() -> None:
    before, after = [vector(3.0), vector(4.0)], [vector(4.0), vector(3.0)]  # both 5 long
    assert relative_update(before, after) == pytest.approx(math.sqrt(2) / 5)
    assert relative_update([vector(0.0)], [vector(1.0)]) == math.inf
    assert math.isnan(relative_update([vector(0.0)], [vector(0.0)]))


@pytest.mark.parametrize(
    ("after", "degrees"),
    [((6.0, 8.0), 0.0), ((-4.0, 3.0), 90.0), ((-3.0, -4.0), 180.0), ((1.0, 7.0), 28.739795)],
)
def test_angle_by_hand(after: tuple[float, float], degrees: float) -> None:
    # from (3, 4) to (1, 7): the inner product is 31, the outer 17, and 28.739795 is atan 17/31
    assert angle([vector(3.0, 4.0)], [vector(*after)]) == pytest.approx(degrees, abs=1e-4)
    apart = [vector(value) for value in after]
    assert angle([vector(3.0), vector(4.0)], apart) == pytest.approx(degrees, abs=1e-4)


@pytest.mark.parametrize("tangent", [1e-3, 1e-9, 1e-12])
def test_tiny_angles_are_exact(tangent: float) -> None:
    turned = torch.tensor([5.0, 5.0 * tangent], dtype=torch.float64)
    got = angle([torch.tensor([7.0, 0.0], dtype=torch.float64)], [turned])
    assert got == pytest.approx(math.degrees(math.atan(tangent)), rel=1e-9)


def test_no_angle_with_zero() -> None:
    assert math.isnan(angle([vector(0.0, 0.0)], [vector(1.0, 0.0)]))


def test_clipped_share_by_hand() -> None:
    gradients = [vector(0.1, -0.3, 0.2), vector(-0.05)]
    assert clipped_share(gradients, 0.15, "value", 9.0) == 0.5  # -0.3 and 0.2 of four
    assert clipped_share(gradients, 0.15, "norm", 0.16) == 1.0
    assert clipped_share(gradients, 0.15, None, 0.14) == 0.0  # the Trainer's default is by norm
    assert clipped_share(gradients, 0.15, None, 0.16) == 1.0
    assert clipped_share(gradients, None, "value", 9.0) == 0.0
    assert clipped_share(gradients, 0.0, "norm", 9.0) == 0.0


def test_equilibria_by_hand() -> None:
    assert sgd_equilibrium(lr=0.2, weight_decay=0.05, momentum=0.0) == pytest.approx(math.sqrt(0.02))
    assert sgd_equilibrium(lr=0.1, weight_decay=0.04, momentum=0.6) == pytest.approx(math.sqrt(0.005))
    # nesterov, m = 1/2: 1 + 1 - 1/4 = 7/4, over 3/2 is 7/6
    got = sgd_equilibrium(lr=0.1, weight_decay=0.3, momentum=0.5, nesterov=True)
    assert got == pytest.approx(math.sqrt(0.07))
    # (1 - 0.6) / (1 + 0.6) = 1/4
    assert adamw_equilibrium(lr=0.1, weight_decay=0.8, beta1=0.6) == pytest.approx(0.2)


PARAMETER = nn.Parameter(torch.ones(2))
OPTIMIZERS: list[tuple[Callable[..., Optimizer], float | None]] = [
    (partial(SGD, lr=0.1, weight_decay=0.04, momentum=0.6), math.sqrt(0.005)),
    (partial(SGD, lr=0.1, weight_decay=0.3, momentum=0.5, nesterov=True), math.sqrt(0.07)),
    (partial(SGD, lr=0.1, weight_decay=0.04, momentum=0.6, dampening=0.1), None),
    (partial(SGD, lr=0.1), None),
    (partial(AdamW, lr=0.1, weight_decay=0.8, betas=(0.6, 0.9)), 0.2),
    (partial(AdamW, lr=torch.tensor(0.1), weight_decay=0.8, betas=(0.6, 0.9)), 0.2),
    (partial(AdamW, weight_decay=0.0), None),
    (partial(Adam, weight_decay=0.1), None),
    (partial(RMSprop, weight_decay=0.1), None),
]


@pytest.mark.parametrize(("factory", "line"), OPTIMIZERS)
def test_equilibrium_of_an_optimizer(factory: Callable[..., Optimizer], line: float | None) -> None:
    optimizer = factory([PARAMETER])
    assert equilibrium(optimizer.param_groups[0], optimizer) == (line and pytest.approx(line))


def test_equilibrium_reads_the_group() -> None:
    optimizer = SGD([{"params": [PARAMETER], "lr": 0.2, "weight_decay": 0.01}], lr=9.0)
    assert equilibrium(optimizer.param_groups[0], optimizer) == pytest.approx(math.sqrt(0.004))


@pytest.mark.parametrize(
    "factory",
    [
        partial(SGD, lr=0.1, weight_decay=0.02),
        partial(SGD, lr=0.05, weight_decay=0.01, momentum=0.9),
        partial(SGD, lr=0.05, weight_decay=0.01, momentum=0.9, nesterov=True),
        partial(AdamW, lr=0.01, weight_decay=0.1, betas=(0.9, 0.99)),
    ],
    ids=["sgd", "momentum", "nesterov", "adamw"],
)
def test_a_random_walk_settles_at_the_line(factory: Callable[..., Any]) -> None:
    # What the theory assumes: random gradients, orthogonal to w, as large as 1 / ||w||.
    generator = torch.Generator().manual_seed(0)
    w = nn.Parameter(torch.randn(500, generator=generator, dtype=torch.float64) / 30)
    optimizer = factory([w])
    sizes = []
    for _ in range(2500):
        unit = w.detach() / w.detach().norm()
        noise = torch.randn(500, generator=generator, dtype=torch.float64) / 30
        w.grad = (noise - unit * (unit @ noise)) / w.detach().norm()
        before = w.detach().clone()
        optimizer.step()
        sizes.append(relative_update([before], [w.detach()]))
    line = equilibrium(optimizer.param_groups[0], optimizer)
    assert sum(sizes[1500:]) / 1000 == pytest.approx(line, rel=0.03)


NORMS = {"bn": nn.BatchNorm2d, "in": nn.InstanceNorm2d, "ln2d": LayerNorm2d}
NORMS |= {"ln": partial(group_norm, num_groups=1), "gn": partial(group_norm, num_groups=4)}


def convs_of(net: nn.Module) -> set[str]:
    return {name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)}


@pytest.mark.parametrize("norm_layer", NORMS.values(), ids=NORMS)
@pytest.mark.parametrize(("kind", "count"), [(ResNet, 20), (ResNet9, 8)], ids=["resnet18", "resnet9"])
def test_convs_in_front_of_norms_are_scale_invariant(kind: Any, count: int, norm_layer: Any) -> None:
    torch.manual_seed(0)
    net = kind(10, norm_layer, width=4).double()
    found = scale_invariant(net, (3, 32, 32))
    assert found == convs_of(net)
    assert len(found) == count  # shortcuts included, and convs with a max pool in between

    # The meaning of the word: longer weights, same logits, but for the norms' eps
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        want = net(images)
        for name in found:
            net.get_submodule(name).weight.mul_(3.0)
        torch.testing.assert_close(net(images), want, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("kind", [ResNet, ResNet9])
def test_without_norms_nothing_is_scale_invariant(kind: Any) -> None:
    assert scale_invariant(kind(10, nn.Identity, width=4), (3, 32, 32)) == set()


def test_what_stands_between_conv_and_norm_matters() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 1),  # 0: its bias goes with each channel's mean
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 4, 1),  # 2: its bias does not
        nn.GroupNorm(1, 4),
        nn.Conv2d(4, 4, 1, bias=False),  # 4
        nn.Sigmoid(),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 4, 1, bias=False),  # 7
        nn.Identity(),
        nn.AvgPool2d(2),
        nn.GroupNorm(2, 4),
    )
    assert scale_invariant(net, (1, 8, 8)) == {"0", "7"}


def test_looking_leaves_no_trace() -> None:
    net = ResNet(10, width=4)
    net.stage1.eval()
    modes = [module.training for module in net.modules()]
    before = {key: value.clone() for key, value in net.state_dict().items()}
    random = torch.get_rng_state()
    scale_invariant(net, (3, 8, 8))
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module._forward_hooks for module in net.modules())


def test_settled_is_the_median_of_the_last_quarter() -> None:
    assert settled([9, 9, 9, 9, 9, 9, 9, 9, 9, 1, 2, 7]) == 2
    assert settled([9, 5]) == 5  # a quarter of two is one
    assert settled([1, 1, 1, 1, 1, 1, 1, 1, 1, 3, math.nan, math.inf]) == 3
    assert math.isnan(settled([math.nan]))
