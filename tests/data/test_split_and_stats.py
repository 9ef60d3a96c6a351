import json
from pathlib import Path

import numpy as np
import pytest

from src.data.split import stratified_split
from src.data.stats import cached_stats, channel_stats


def test_split_takes_every_classes_share() -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    kept, held_out = stratified_split(labels, 20, seed=0)
    assert np.bincount(labels[held_out]).tolist() == [12, 6, 2]
    assert sorted([*kept, *held_out]) == list(range(100))
    again = stratified_split(labels, 20, seed=0)[1]
    np.testing.assert_array_equal(held_out, again)
    assert not np.array_equal(held_out, stratified_split(labels, 20, seed=1)[1])


def test_split_of_nothing_keeps_all() -> None:
    kept, held_out = stratified_split(np.zeros(5, dtype=int), 0, seed=0)
    assert kept.tolist() == [0, 1, 2, 3, 4]
    assert held_out.size == 0


@pytest.mark.parametrize("num_held_out", [1, 9, 10])
def test_split_says_what_is_possible(num_held_out: int) -> None:
    labels = np.array([0, 1] * 5)
    with pytest.raises(ValueError, match=rf"0, or from 2 .* to 8: got {num_held_out} of 10"):
        stratified_split(labels, num_held_out, seed=0)


def test_stats_of_known_pixels() -> None:
    # red a quarter 255: mean 1/4, std sqrt(3)/4; green 51 = 1/5 everywhere; blue half 0, half 255
    images = np.zeros((2, 2, 2, 3), np.uint8)
    images[0, 0, :, 0] = 255
    images[..., 1] = 51
    images[1, ..., 2] = 255
    stats = channel_stats(images)
    assert stats.mean == pytest.approx((0.25, 0.2, 0.5))
    assert stats.std == pytest.approx((3**0.5 / 4, 1e-6, 0.5))


def test_stats_are_kept_and_read_again(tmp_path: Path) -> None:
    images = np.full((1, 2, 2, 3), 255, np.uint8)
    first = cached_stats(images, "white", str(tmp_path))
    path = tmp_path / "stats" / "white.json"
    kept = path.read_text()
    assert json.loads(kept)["mean"] == [1.0, 1.0, 1.0]
    # read, not measured again: these images are others
    assert cached_stats(images * 0, "white", str(tmp_path)) == first
    other = cached_stats(images * 0, "black", str(tmp_path))
    assert other.mean == (0.0, 0.0, 0.0)
    of_others = path.with_name("black.json").read_text()
    for damaged in (
        "{half",
        "[]",
        "7",
        kept.replace("1.0", "0.9", 1),
        of_others,
        kept.replace("mean", "men"),
    ):
        path.write_text(damaged)
        assert cached_stats(images, "white", str(tmp_path)) == first
        assert path.read_text() == kept


def test_stats_are_exact_over_many_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (700, 5, 4, 3), dtype=np.uint8)
    images[300:600] |= 128  # three chunks of 256 that differ
    stats = channel_stats(images)
    np.testing.assert_allclose(stats.mean, images.mean((0, 1, 2)) / 255, rtol=1e-14)
    np.testing.assert_allclose(stats.std, images.std((0, 1, 2)) / 255, rtol=1e-12)
