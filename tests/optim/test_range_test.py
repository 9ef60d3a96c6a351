"""The range test on losses whose best learning rate a reader can work out, and what it leaves behind."""

import math
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import repeat
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from src.find_lr.range_test import decay, learning_rates, range_test, smoothed, suggest


class Bowl(nn.Module):
    """`curvature * |w|^2 / 2` in three dimensions, times what a batch says.

    A step of plain descent multiplies w by 1 - lr * curvature: the best rate is 1 / curvature, and
    beyond 2 / curvature the loss rises.
    """

    def __init__(self, curvature: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
        self.curvature = curvature

    def forward(self, scale: float) -> Tensor:
        return scale * self.curvature * self.w.square().sum() / 2


def sweep(net: Bowl, lrs: np.ndarray, scales: Iterator[float] | None = None, **options: Any) -> np.ndarray:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    return range_test(net, net, optimizer, scales or repeat(1.0), lrs, **options)


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("steps", [50, 100, 200, 500])
@pytest.mark.parametrize("curvature", [0.3, 7.0, 90.0])
def test_the_suggestion_is_the_best_rate_of_a_quadratic(curvature: float, steps: int, noise: float) -> None:
    lrs = learning_rates(1e-6, 100.0, steps)
    scales = np.random.default_rng(0).lognormal(0.0, noise, steps)
    losses = sweep(Bowl(curvature), lrs, iter(scales.tolist()))
    assert len(losses) < steps, "it diverges"
    found = suggest(lrs, losses, steps=steps)
    assert found is not None
    assert 1 <= found.minimum * curvature < 2  # between the best rate and the one that diverges
    assert 0.5 < found.steepest * curvature < 2
    assert found.steepest == lrs[found.steepest_step]
    assert found.minimum == lrs[found.minimum_step]


@pytest.mark.parametrize("curvature", [0.3, 7.0])
def test_linear_rates_find_it_too(curvature: float) -> None:
    lrs = learning_rates(1e-3, 4 / curvature, 100, "linear")
    found = suggest(lrs, sweep(Bowl(curvature), lrs), steps=100)
    assert found is not None
    assert 1 <= found.minimum * curvature < 2
    assert 0.5 < found.steepest * curvature < 2


def test_rates_by_hand() -> None:
    assert learning_rates(1.0, 100.0, 3).tolist() == pytest.approx([1.0, 10.0, 100.0])
    assert learning_rates(1.0, 100.0, 3, "linear").tolist() == [1.0, 50.5, 100.0]


def test_smoothed_by_hand() -> None:
    # Log losses 0, 1, 2 with weights 1, 1/2, 1/4: (1/2 + 2/4) / (7/4) = 4/7 at the first
    got = np.log(smoothed(np.exp([0.0, 1.0, 2.0]), 0.5))
    assert got.tolist() == pytest.approx([4 / 7, 1.0, 2 - 4 / 7])


def test_smoothing_ends_as_a_bias_corrected_average_and_does_not_lag() -> None:
    logs = np.random.default_rng(0).standard_normal(50)
    average = 0.0
    for value in logs:
        average = 0.9 * average + 0.1 * value
    assert math.log(smoothed(np.exp(logs), 0.9)[-1]) == pytest.approx(average / (1 - 0.9**50))
    line = np.linspace(0, 1, 401)
    assert np.log(smoothed(np.exp(line), decay(401, 0.05)))[200] == pytest.approx(line[200])


def test_decay_leaves_a_third_after_its_share_of_the_sweep() -> None:
    assert decay(200, 0.05) ** 10 == pytest.approx(math.exp(-1))


@pytest.mark.parametrize(("stop", "num_losses"), [(4.0, 3), (16.0, 5)])
def test_it_stops_when_the_average_passes_the_lowest_times_stop(stop: float, num_losses: int) -> None:
    # At lr = 3 / curvature each loss is 4 times the one before: its log rises by ln 4 a step, the average
    # of n of them by (n - 1) / 2 of that, and a little more, as later ones weigh more
    losses = sweep(Bowl(1.0), np.full(50, 3.0), stop=stop, smoothing=0.5)
    assert losses.tolist() == pytest.approx([2.625 * 4**k for k in range(num_losses)])


def test_a_loss_that_is_not_finite_ends_the_sweep() -> None:
    for bad in (math.nan, math.inf):
        assert sweep(Bowl(1.0), np.full(9, 0.1), iter([1.0, 1.0, bad, 1.0])).tolist() == pytest.approx(
            [2.625, 2.625 * 0.81]
        )


def test_groups_keep_the_ratio_of_their_rates() -> None:
    net = nn.ParameterList([torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)])
    optimizer = torch.optim.SGD([{"params": [net[0]]}, {"params": [net[1]], "lr": 0.3}], lr=0.1)
    seen = []

    def loss_of(_: float) -> Tensor:  # both gradients are -1
        seen.append((net[0].item(), net[1].item()))
        return 1.0 - net[0].sum() - net[1].sum()

    range_test(loss_of, net, optimizer, repeat(0.0), [0.01, 0.02, 0.04])
    assert np.ravel(seen).tolist() == pytest.approx([0.0, 0.0, 0.01, 0.03, 0.03, 0.09])
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.3]


def test_batches_accumulate_gradients_are_clipped_and_batches_may_end() -> None:
    # Slopes 1 and 3 at w = 1: loss and gradient are 2; a step at 0.1 leaves 0.8, a clipped one 0.95
    net = nn.ParameterList([torch.ones(1, dtype=torch.float64)])
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)

    def run(clip: Callable[[], object]) -> list[float]:
        slopes = [1.0, 3.0, 1.0, 3.0, 1.0]
        lrs = [0.1] * 4
        return range_test(
            lambda slope: slope * net[0].sum(), net, optimizer, slopes, lrs, accumulate=2, clip=clip
        ).tolist()

    assert run(lambda: None) == pytest.approx([2.0, 1.6])
    clip = torch.nn.utils.clip_grad_value_
    assert run(lambda: clip(net.parameters(), 0.5)) == pytest.approx([2.0, 1.9])


class Noisy(nn.Module):
    """Batch norm's statistics, dropout's random numbers, and a buffer that is in no state_dict."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 3))
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        scale = random.random() + np.random.rand()  # noqa: NPY002
        out: Tensor = scale * self.layers(x)
        return out


def loss_of(net: nn.Module, x: Tensor) -> Tensor:
    return nn.functional.cross_entropy(net(x), torch.arange(len(x)) % 3)


def train(net: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> list[float]:
    """Losses of three steps whose random numbers are always the same."""
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = loss_of(net, x)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    return losses


def everything(net: nn.Module, optimizer: torch.optim.Optimizer) -> Any:
    """What must not change, as plain values."""
    return {
        "tensors": {k: v.tolist() for k, v in [*net.named_parameters(), *net.named_buffers()]},
        "gradients": [p.grad if p.grad is None else p.grad.tolist() for p in net.parameters()],
        "modes": [module.training for module in net.modules()],
        "state": [
            {k: v.tolist() if isinstance(v, Tensor) else v for k, v in optimizer.state[p].items()}
            for p in optimizer.state
        ],
        "groups": [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups],
        "random": (
            torch.get_rng_state().tolist(),
            str(np.random.get_state()),  # noqa: NPY002
            random.getstate(),
        ),
    }


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam])
def test_nothing_changes_bit_by_bit(make: Callable[..., torch.optim.Optimizer], trained: bool) -> None:
    torch.manual_seed(0)
    net, x = Noisy(), torch.randn(12, 4)
    options = {"momentum": 0.9} if make is torch.optim.SGD else {}
    optimizer = make(net.parameters(), lr=0.01, **options)

    if trained:
        train(net, optimizer, x)
    net.layers[1].eval()
    before = everything(net, optimizer)
    seen = []

    losses = range_test(
        lambda batch: loss_of(net, batch),
        net,
        optimizer,
        repeat(x),
        learning_rates(1e-4, 1.0, 9),
        stop=100.0,
        clip=lambda: seen.append(everything(net, optimizer)),
    )
    assert len(losses) == 9
    assert set(np.ravel(seen[-1]["modes"])) == {True}
    assert all(seen[-1][key] != before[key] for key in before), "the sweep itself trains"
    assert everything(net, optimizer) == before

    # A copy that never saw the test continues to the same losses
    twin = Noisy()
    twin.load_state_dict(net.state_dict())
    twin.layers[1].eval()
    twin_optimizer = make(twin.parameters(), lr=0.01, **options)
    twin_optimizer.load_state_dict(deepcopy(optimizer.state_dict()))
    assert train(net, optimizer, x) == train(twin, twin_optimizer, x)


def test_nothing_changes_when_the_loss_raises() -> None:
    net = Noisy()
    optimizer = torch.optim.Adam(net.parameters())
    before = everything(net, optimizer)

    def broken(x: Tensor) -> Tensor:
        if net.calls == 3:
            raise RuntimeError("no")
        return loss_of(net, x)

    with pytest.raises(RuntimeError, match="no"):
        range_test(broken, net, optimizer, repeat(torch.ones(6, 4)), [0.1] * 9)
    assert everything(net, optimizer) == before


def test_no_fall_no_suggestion() -> None:
    lrs = learning_rates(1e-6, 10.0, 200)
    assert suggest(lrs, np.full(200, 2.3), steps=200) is None
    assert suggest(lrs, np.linspace(2.3, 9.0, 200), steps=200) is None
    assert suggest(lrs, np.full(5, 2.3), steps=200) is None
    assert suggest(lrs, np.empty(0), steps=200) is None
    for seed in range(50):
        losses = 2.3 * np.random.default_rng(seed).lognormal(0.0, 0.1, 200)
        assert suggest(lrs, losses, steps=200) is None


def test_a_small_fall_in_noise_is_found_and_a_chance_fall_behind_the_minimum_is_not() -> None:
    # Down by 30 % around step 80, up eightfold from step 110 on; then by chance down to a third in a step
    steps = np.arange(200)
    logs = -0.35 / (1 + np.exp(-(steps - 80) / 6)) + np.clip((steps - 110) / 20, 0, 2.1)
    logs -= 1.1 * (steps >= 180)
    logs += np.random.default_rng(0).normal(0, 0.03, 200)
    found = suggest(steps + 1.0, np.exp(logs), steps=200)
    assert found is not None
    assert 74 <= found.steepest_step <= 86
    assert 95 <= found.minimum_step <= 115
