"""Numbers are uniform, independent and a function of what they are for. Fixed seeds: no test can flicker."""

import numpy as np
import pytest
import torch
from scipy import stats

from src.data.draws import Draws, integers, mix

IMAGES = torch.arange(50_000)


def draws(seed: int = 0, epoch: int = 0, op: int = 0, images: torch.Tensor = IMAGES) -> Draws:
    return Draws(seed, torch.full_like(images, epoch), images).of(op)


def test_mix_is_the_output_function_of_splitmix64() -> None:
    # The generator that counts in steps of GAMMA from 0, by Vigna's splitmix64.c
    known = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]
    gamma = 0x9E3779B97F4A7C15
    counters = torch.tensor([((k + 1) * gamma + 2**63) % 2**64 - 2**63 for k in range(4)])
    assert [value % 2**64 for value in mix(counters).tolist()] == known


@pytest.mark.parametrize(
    ("seed", "epoch", "op"), [(0, 0, 0), (1, 0, 0), (0, 7, 0), (0, 0, 3), (2**32 - 1, 99, 2)]
)
def test_numbers_are_uniform(seed: int, epoch: int, op: int) -> None:
    numbers = draws(seed, epoch, op).uniform(2).numpy()
    assert numbers.min() >= 0
    assert numbers.max() < 1
    for column in numbers:
        assert stats.kstest(column, "uniform").pvalue > 0.001
        counts = np.bincount(integers(torch.from_numpy(column), 0, 8).numpy(), minlength=9)
        assert len(counts) == 9
        assert stats.chisquare(counts).pvalue > 0.001


def test_numbers_of_neighbours_epochs_ops_places_and_seeds_are_independent() -> None:
    one = draws().uniform(2)
    others = {
        "the next image": one[0].roll(1),
        "the image 256 on": one[0].roll(256),
        "the next number": one[1],
        "the next epoch": draws(epoch=1).uniform(1)[0],
        "the next op": draws(op=1).uniform(1)[0],
        "the next seed": draws(seed=1).uniform(1)[0],
        "all epochs": draws().uniform_for_all_epochs(1)[0],
    }
    for name, other in others.items():
        pairs = integers(one[0], 0, 7) * 8 + integers(other, 0, 7)  # a chessboard of 64 equal fields
        counts = np.bincount(pairs.numpy(), minlength=64)
        assert stats.chisquare(counts).pvalue > 0.001, name
        assert abs(np.corrcoef(one[0], other)[0, 1]) < 4 / 50_000**0.5, name


def test_numbers_depend_on_nothing_but_what_they_are_for() -> None:
    whole = draws(seed=5, epoch=3, op=2).uniform(4)
    part = torch.tensor([40_000, 7, 7, 123])
    assert torch.equal(draws(5, 3, 2, part).uniform(4), whole[:, part])
    assert torch.equal(draws(5, 3, 2, part).uniform(1), whole[:1, part])  # however many are asked for
    mixed = Draws(5, torch.tensor([3, 4]), torch.tensor([7, 7])).of(2).uniform(1)[0]
    assert mixed.tolist() == [whole[0, 7].item(), draws(5, 4, 2).uniform(1)[0, 7].item()]
    steady = draws(5, 3, 2).uniform_for_all_epochs(2)
    assert torch.equal(steady, draws(5, 4, 2).uniform_for_all_epochs(2))
    assert not torch.equal(steady, whole[:2])


def test_integers_reach_both_ends_and_no_further() -> None:
    edges = torch.tensor([0.0, 1 / 9, 1 - 2.0**-24])
    assert integers(edges, 3, 11).tolist() == [3, 4, 11]
    for high in (0, 6, 15, 16, 31, 1000):
        assert integers(edges[-1:], 0, high).item() == high
