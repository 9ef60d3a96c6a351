"""Mean lines and bands of several runs, on numbers that one can add up."""

from math import inf, nan

import pytest

from src.compare.histories import Band, against, band, thinned
from src.models.cost import training_pflop


def test_a_band_is_mean_lowest_and_highest_of_the_runs_that_are_there() -> None:
    # At 2 the second run diverged, at 3 only the first one continues; at 4 nothing is finite
    runs = [{1: 0.2, 2: 0.5, 3: 0.6, 4: nan}, {1: 0.4, 2: nan}, {1: 0.9, 2: 0.7, 4: inf}]
    got = band(runs)
    assert got.x == [1, 2, 3]
    assert got.mean == pytest.approx([0.5, 0.6, 0.6])
    assert (got.low, got.high, got.num_runs) == ([0.2, 0.5, 0.6], [0.9, 0.7, 0.6], [3, 2, 1])


def test_accuracy_by_seconds_is_at_the_mean_seconds_of_the_same_epoch() -> None:
    acc = band([{1: 0.2, 2: 0.4}, {1: 0.4, 2: 0.8}])
    seconds = band([{1: 10.0, 2: 20.0, 3: 30.0}, {1: 14.0, 2: 28.0}])
    got = against(acc, seconds)
    assert got.x == [12.0, 24.0]
    assert got.mean == pytest.approx([0.3, 0.6])
    assert against(acc, band([{2: 5.0}])).low == [0.4]  # the first epoch has no time


def test_thinning_keeps_both_ends_and_even_steps() -> None:
    values = [float(k) for k in range(1001)]
    full = Band(values, values, values, values, [1] * 1001)
    assert thinned(full, 5).x == [0, 250, 500, 750, 1000]
    assert thinned(full, 1001) is full
    assert band([]) == Band([], [], [], [], [])


def test_training_compute_counts_six_operations_a_mac_and_image() -> None:
    # A MAC is 2 operations, and the backward pass costs twice the forward pass: 6 * 1e9 * 50,000 = 3e14
    assert training_pflop(macs=10**9, num_images=50_000) == pytest.approx(0.3)
