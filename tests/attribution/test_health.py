"""Numbers about maps that a reader can work out, and a run whose explanations are healthy."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from scipy.stats import spearmanr
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from src.attribution.grad_cam import grad_cam
from src.attribution.health import (
    Health,
    Known,
    class_discriminative,
    energy_inside,
    health,
    mean_abs_spearman,
    pointing_game,
    randomized,
    ranks,
)
from src.callbacks.explanation_health import health_line
from src.config.cli import RunFailed
from src.runs.summary import read_summary

LEFT = torch.tensor([[True, False, False], [True, False, False]])  # of 2x3 pixels


def test_pointing_game_counts_maxima_inside() -> None:
    maps = torch.tensor(
        [
            [[0, 1, 1], [2, 1, 1]],  # inside
            [[-1, -2, -2], [-3, -2, -2]],  # inside, nothing positive
            [[2, 1, 3], [2, 1, 1]],  # outside
            [[-2, -1, -2], [-3, -2, -2]],  # outside, nothing positive
            [[2, 2, 1], [1, 1, 1]],  # inside and outside: nowhere
            [[0, 0, 0], [0, 0, 0]],  # flat
        ]
    ).float()
    assert pointing_game(maps, LEFT.expand(6, 2, 3)) == pytest.approx(2 / 6)


def test_energy_inside_is_the_share_of_positive_heat() -> None:
    maps = torch.tensor(
        [
            [[3, 1, -5], [-7, 0, 0]],  # 3 of 4
            [[1, 1, 1], [1, 1, 1]],  # blind: the third of the area
            [[-1, -1, -1], [-1, -1, -1]],  # no heat
            [[0, 0, 0], [0, 0, 0]],
        ]
    ).float()
    assert energy_inside(maps, LEFT.expand(4, 2, 3)) == pytest.approx((3 / 4 + 1 / 3) / 4)


def test_class_discriminative_compares_a_class_s_own_mask_with_the_other() -> None:
    masks = torch.tensor([[True, True, False, False], [False, False, True, False]]).view(1, 2, 1, 4)
    maps = torch.tensor(
        [
            [[2.0, -9.0, 1.0, 9.0], [3.0, 0.0, 4.0, 0.0]],  # 2 > 1, what is negative does not count; 4 > 3
            [[2.0, 2.0, 3.0, 0.0], [3.0, 2.0, 4.0, 0.0]],  # 4 > 3; 4 < 5
            [[0.0, 0.0, 0.0, 5.0], [1.0, 0.0, 1.0, 0.0]],  # nothing; as much in both
        ]
    ).view(3, 2, 1, 4)
    assert class_discriminative(maps, masks.expand(3, 2, 1, 4)) == pytest.approx(3 / 6)


def test_equal_values_share_a_rank() -> None:
    got = ranks(torch.tensor([[10.0, 20.0, 20.0, 5.0], [7.0, 7.0, 7.0, 7.0]]))
    assert got.tolist() == [[1.0, 2.5, 2.5, 0.0], [1.5, 1.5, 1.5, 1.5]]


def test_mean_abs_spearman_of_known_maps() -> None:
    # 1 - 6 * sum d^2 / (n (n^2 - 1)): n = 3, one swap of neighbours: 1 - 6 * 2 / 24 = 1/2; upside down: -1
    a = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]).view(4, 1, 3)
    b = torch.tensor([[1.0, 9.0, 2.0], [3.0, 2.0, -1.0], [4.0, 4.0, 4.0], [0.0, 0.0, 0.0]]).view(4, 1, 3)
    assert mean_abs_spearman(a, b) == pytest.approx((1 / 2 + 1 + 0 + 0) / 4)


def test_spearman_is_scipys_with_and_without_ties() -> None:
    generator = torch.Generator().manual_seed(0)
    ties = [torch.randint(-2, 3, (20, 4, 5), generator=generator).float() for _ in range(2)]
    no_ties = [torch.randn(20, 4, 5, generator=generator) for _ in range(2)]
    for a, b in (ties, no_ties, (ties[0], no_ties[0].mT.contiguous().mT)):
        for one, other in zip(a, b, strict=True):
            want = abs(spearmanr(one.flatten().numpy(), other.flatten().numpy()).statistic)
            assert mean_abs_spearman(one[None], other[None]) == pytest.approx(want, abs=1e-12)


def small_net() -> nn.Sequential:
    """With statistics away from their start."""
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    net.append(nn.Linear(4, 2))
    for number, parameter in enumerate(net.parameters()):
        nn.init.constant_(parameter, 0.1 + number)
    net[1].running_mean.fill_(5.0)
    return net


def test_randomized_draws_every_weight_and_leaves_network_and_random_state() -> None:
    net = small_net()
    before, state = {k: v.clone() for k, v in net.state_dict().items()}, torch.get_rng_state()
    fresh, again, other = (randomized(net, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key]), key
    drawn = fresh.state_dict()
    for key in ("0.weight", "0.bias", "5.weight", "5.bias"):
        assert not torch.isclose(drawn[key], before[key]).any(), key
        assert torch.equal(drawn[key], again.state_dict()[key]), key
        assert not torch.equal(drawn[key], other.state_dict()[key]), key
    assert drawn["1.weight"].tolist() == [1.0] * 4
    assert drawn["1.running_mean"].tolist() == [0.0] * 4


def test_randomized_copies_have_gradients_within_inference_mode() -> None:
    with torch.inference_mode():
        fresh = randomized(small_net(), seed=0)
        maps = grad_cam(fresh, torch.rand(2, 3, 6, 6), torch.tensor([0, 1]), ["0"])
    assert maps["0"].shape == (2, 1, 4, 4)


def test_weights_that_nobody_can_draw_are_named() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.ones(1))

    net = nn.Sequential(nn.Linear(2, 2), Scale())
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match="cannot draw new weights for 1: Scale has no reset_parameters."):
        randomized(net, seed=0)
    assert torch.equal(torch.get_rng_state(), state)


def red_or_green(head: list[list[float]]) -> nn.Sequential:
    """Whose Grad-CAM at layer 0 of class k is `head[k] @ image / (H W)`: 1x1 convolution, mean, head."""
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    for module, weight in ((net[0], torch.eye(3).view(3, 3, 1, 1)), (net[3], torch.tensor(head))):
        module.weight.data = weight
        nn.init.zeros_(module.bias)
    return net


def colored() -> tuple[Known, Known]:
    """Red (class 0) and green (class 1) blocks of 2x3 in 6x8 pixels: one an image, then both; 70 of each."""
    masks = torch.zeros(70, 2, 6, 8, dtype=torch.bool)
    masks[:, 0, 1:3, 0:3] = True
    masks[:, 1, 3:5, 4:7] = True
    labels = torch.arange(70) % 2
    one_mask = masks[torch.arange(70), labels]
    blank = torch.zeros(70, 1, 6, 8)
    one = torch.stack([one_mask * (labels == k).view(70, 1, 1) for k in (0, 1)], dim=1).float()
    return (
        Known(torch.cat([one, blank], dim=1), labels, one_mask),
        Known(torch.cat([masks.float(), blank], dim=1), torch.tensor([[0, 1]]).expand(70, 2), masks),
    )


def test_health_of_maps_that_are_the_masks() -> None:
    found = health(red_or_green([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), *colored(), layer="0", seed=0)
    assert found.pointing_game == 1
    assert found.energy_ratio == pytest.approx(6 * 8 / 6)  # all heat on 6 of 48 pixels
    assert found.class_discriminative == 1
    assert found.spearman_random == pytest.approx(1)  # drawn 1x1 kernels show the same block, if not its sign


def test_health_of_maps_that_point_at_the_other_class() -> None:
    found = health(red_or_green([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]), *colored(), layer="0", seed=0)
    assert found[:3] == (0, 0, 0)


def test_health_leaves_modes_gradients_and_statistics() -> None:
    net = small_net()
    net[1].eval()  # a module of its own mode in a network that trains
    before = {key: value.clone() for key, value in net.state_dict().items()}
    health(net, *colored(), layer="0", seed=0)
    assert [module.training for module in net.children()] == [True, False, True, True, True, True]
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_health_line_as_documented() -> None:
    line = health_line(Health(0.9967, 4.9, 0.9817, 0.097), "stage3")
    assert f"`{line}`." in (health_line.__doc__ or "")


def test_other_data_is_refused_before_training(run_tiny: Callable[..., Path]) -> None:
    with pytest.raises(
        RunFailed, match="data=squares alone, not in 0, 1, 2, …: add data=squares, or ~callback"
    ):
        run_tiny("data=digits", "callbacks=explanation_health", "model.width=8")


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["bn", "ln"])
def test_explanations_of_the_experiment_are_healthy(norm: str, run_tiny: Callable[..., Path]) -> None:
    # as the experiment, but four of its six epochs (run_tiny's batches are smaller than its 64)
    run_dir = run_tiny(
        "experiment=explanation_health", f"norm={norm}", "data.batch_size=64", "trainer.max_epochs=4"
    )
    facts = read_summary(run_dir)
    assert facts["test/acc"] >= 0.95
    assert facts["test/pointing_game"] >= 0.95
    assert facts["test/energy_ratio"] >= 2
    assert facts["test/class_discriminative"] >= 0.95
    assert facts["test/spearman_random"] <= 0.2
    events = EventAccumulator(str(run_dir))
    events.Reload()
    with (run_dir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in Health._fields:
        key = f"test/{name}"
        (value,) = [float(row[key]) for row in rows if row[key]]
        (event,) = events.Scalars(key)
        assert value == pytest.approx(facts[key], rel=1e-6)
        assert event.value == pytest.approx(facts[key], rel=1e-6)


@pytest.mark.slow
def test_explanations_of_an_untrained_network_are_not(run_tiny: Callable[..., Path]) -> None:
    # a blind map points at the square in 14 % of the images, and to the right one of two in half of them
    facts = read_summary(
        run_tiny("experiment=explanation_health", "trainer.max_epochs=1", "trainer.limit_train_batches=1")
    )
    assert facts["test/pointing_game"] < 0.4
    assert facts["test/energy_ratio"] < 1.5
    assert facts["test/class_discriminative"] < 0.75
