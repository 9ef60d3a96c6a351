"""Muon's steps against matrices that a reader can decompose."""

import copy
import io
import math
from functools import partial
from typing import Any

import pytest
import torch
from pytorch_optimizer.optimizer.utils.matrix import zero_power_via_newton_schulz_5
from torch import Tensor, nn
from torch.optim import SGD, AdamW

from src.optim.muon import Muon, orthogonal
from src.optim.param_groups import make_optimizer

REST = partial(SGD, lr=0.5, momentum=0.5, nesterov=True)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def newton_schulz(u: Tensor, steps: int) -> Tensor:
    """What the published polynomial makes of each singular value, in float64."""
    left, values, right = torch.linalg.svd(u.double().flatten(1), full_matrices=False)
    values = values / values.norm()
    for _ in range(steps):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return ((left * values) @ right).reshape(u.shape)


def step(optimizer: torch.optim.Optimizer, *gradients: tuple[nn.Parameter, Tensor]) -> None:
    for p, gradient in gradients:
        p.grad = gradient.clone()
    optimizer.step()


@pytest.mark.parametrize("shape", [(8, 36), (36, 8)])
def test_the_step_of_a_matrix_is_its_orthogonal_factor(shape: tuple[int, int]) -> None:
    gradient = random(*shape)
    got = orthogonal(gradient, 5)
    assert torch.linalg.svdvals(got).sub(1).abs().max() < 0.35  # what the coefficients promise: 0.68 to 1.13
    left, _, right = torch.linalg.svd(gradient, full_matrices=False)
    want = left @ right
    assert (got * want).sum() / (got.norm() * want.norm()) > 0.98
    torch.testing.assert_close(got.double(), newton_schulz(gradient, 5), rtol=0, atol=0.02)
    theirs = zero_power_via_newton_schulz_5(gradient, 5).float()
    torch.testing.assert_close(got, theirs, rtol=0, atol=2**-8)  # a bit or two of bfloat16


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("nesterov", [True, False])
def test_two_steps_by_hand(nesterov: bool, memory_format: torch.memory_format) -> None:
    start, first, second = (random(6, 2, 3, 3, seed=seed) for seed in range(3))
    p = nn.Parameter(start.clone().to(memory_format=memory_format))
    optimizer = Muon([p], rest=REST, lr=0.1, momentum=0.6, nesterov=nesterov, ns_steps=3, weight_decay=0.5)
    step(optimizer, (p, first))
    # b = g1; ahead: 1.6 g1, of the same direction
    want = 0.95 * start.double() - 0.1 * newton_schulz(first, 3)
    torch.testing.assert_close(p.double(), want, rtol=0, atol=2e-3)
    step(optimizer, (p, second))
    # b = 0.6 g1 + g2; ahead: g2 + 0.6 b = 0.36 g1 + 1.6 g2
    ahead = 0.36 * first + 1.6 * second if nesterov else 0.6 * first + second
    want = 0.95 * want - 0.1 * newton_schulz(ahead, 3)
    torch.testing.assert_close(p.double(), want, rtol=0, atol=4e-3)


def test_normalize_gives_kernels_their_length_before_the_step() -> None:
    p, still = nn.Parameter(7 * random(9, 2, 3, 3)), nn.Parameter(torch.zeros(4, 1, 1, 1))
    optimizer = Muon([p, still], rest=REST, lr=0.1, normalize=True)
    before, gradient = p.detach().clone(), random(9, 2, 3, 3, seed=1)
    step(optimizer, (p, gradient), (still, torch.zeros(4, 1, 1, 1)))
    want = 3 * before / before.norm() - 0.1 * newton_schulz(gradient, 5).float()  # sqrt(9)
    torch.testing.assert_close(p.detach(), want, rtol=0, atol=4e-3)
    assert torch.equal(still, torch.zeros_like(still))
    optimizer.param_groups[0]["lr"] = 0.0
    step(optimizer, (p, gradient))
    assert p.norm().item() == pytest.approx(3.0)


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4, 2)
    )


def with_gradients(module: nn.Module, seed: int) -> None:
    for count, p in enumerate(module.parameters()):
        p.grad = random(*p.shape, seed=10 * seed + count) if p.requires_grad else None


@pytest.mark.parametrize("rest", [REST, partial(AdamW, lr=0.5, weight_decay=0.1)])
def test_the_rest_moves_as_with_its_own_optimizer_and_frozen_kernels_stay(rest: Any) -> None:
    ours, theirs = net(), net()
    ours[0].requires_grad_(False)
    theirs[0].requires_grad_(False)
    optimizer = make_optimizer(partial(Muon, rest=rest, lr=0.1), ours, lr_factors={"head": 2.0})
    head = list(theirs[4].parameters())
    other = [
        p for p in theirs.parameters() if p.requires_grad and p.ndim < 4 and all(p is not h for h in head)
    ]
    others = rest([{"params": other + [theirs[2].bias][:0]}, {"params": head, "lr": 1.0}])
    frozen = copy.deepcopy(ours[0].state_dict())
    for seed in range(3):
        with_gradients(ours, seed)
        with_gradients(theirs, seed)
        optimizer.step()
        others.step()
    for name, p in ours.named_parameters():
        if p.ndim < 4:
            assert torch.equal(p, theirs.get_parameter(name)), name
    assert all(torch.equal(value, frozen[name]) for name, value in ours[0].state_dict().items())
    assert not torch.equal(ours[2].weight, theirs[2].weight)


@pytest.mark.parametrize("rest", [REST, partial(AdamW, lr=0.5)])
def test_goes_on_bit_for_bit_from_a_safe_file(rest: Any) -> None:
    def fresh() -> tuple[nn.Module, torch.optim.Optimizer]:
        module = net()
        return module, make_optimizer(
            partial(Muon, rest=rest, lr=0.1, normalize=True), module, lr_factors={"bias": 0.5}
        )

    def train(module: nn.Module, optimizer: torch.optim.Optimizer, seeds: range) -> None:
        for seed in seeds:
            with_gradients(module, seed)
            for group in optimizer.param_groups:  # as a schedule does
                group["lr"] = 0.1 / (1 + seed)
            optimizer.step()

    whole = fresh()
    train(*whole, range(6))
    first = fresh()
    train(*first, range(3))
    file = io.BytesIO()
    torch.save([part.state_dict() for part in first], file)
    file.seek(0)
    second = fresh()
    for part, state in zip(second, torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    train(*second, range(3, 6))
    for got, want in zip(second[0].parameters(), whole[0].parameters(), strict=True):
        assert torch.equal(got, want)
        assert math.isfinite(float(got.detach().sum()))
