"""Squares whose place and class a reader can check."""

from collections.abc import Callable

import numpy as np
import pytest

from src.data.squares import (
    ONE,
    SQUARE,
    TEST,
    TEXTURES,
    TRAIN,
    TWO,
    Squares,
    make_squares,
    noise,
    squares,
    two_squares,
)

# Where the Fourier transform of a 12x12 texture is not 0: a wave of period 4 goes round 3 (and 12 - 3 = 9)
# times in 12 pixels, one of period 2 goes round 6 times.
FREQUENCIES = {
    "horizontal stripes": {(3, 0), (9, 0)},
    "vertical stripes": {(0, 3), (0, 9)},
    "diagonal stripes": {(3, 3), (9, 9)},
    "horizontal lines": {(6, 0)},
    "vertical lines": {(0, 6)},
    "checkerboard": {(6, 6)},
}


def texture_frequencies(image: np.ndarray, mask: np.ndarray) -> set[tuple[int, int]]:
    """What is in the pattern of bright (128 and more) and dark pixels under a mask."""
    rows, columns = mask.any(axis=1), mask.any(axis=0)
    np.testing.assert_array_equal(mask, np.outer(rows, columns))
    pattern = np.where(image[rows][:, columns, 0] >= 128, 1.0, -1.0)
    assert pattern.shape == (SQUARE, SQUARE)
    assert pattern.sum() == 0, "half of a texture is bright"
    power = np.abs(np.fft.fft2(pattern)) > 1e-9
    return {(int(y), int(x)) for y, x in np.argwhere(power)}


def test_no_two_textures_share_a_frequency() -> None:
    assert list(FREQUENCIES) == list(TEXTURES)
    found = [frequency for frequencies in FREQUENCIES.values() for frequency in frequencies]
    assert len(found) == len(set(found))


def test_one_square_is_noise_outside_and_its_texture_inside() -> None:
    images, labels, masks = make_squares(120, num_classes=6, image_size=32, seed=7)
    without = noise(120, 32, np.random.default_rng(7))
    np.testing.assert_array_equal(images[~masks], without[~masks])
    moved = images[masks].astype(int) - without[masks] // 2
    assert set(np.unique(moved)) == {0, 128}
    assert (moved == moved[:, :1]).all(), "bright and dark are the same for the three colors"
    for image, label, mask in zip(images, labels, masks, strict=True):
        assert texture_frequencies(image, mask) == FREQUENCIES[list(TEXTURES)[label]]


def test_noise_and_textures_are_uniform() -> None:
    # a uniform 0..255 has mean 127.5 and standard deviation sqrt((256^2 - 1) / 12) = 73.9
    images, _, masks = make_squares(600, num_classes=6, image_size=32, seed=0)
    for values in (images[masks], images[~masks]):
        assert values.mean() == pytest.approx(127.5, abs=0.5)
        assert values.std() == pytest.approx(73.9, abs=0.5)


def test_squares_lie_everywhere_and_classes_are_balanced() -> None:
    _, labels, masks = make_squares(3000, num_classes=6, image_size=32, seed=0)
    assert np.bincount(labels).tolist() == [500] * 6
    assert not np.array_equal(labels, np.arange(3000) % 6)
    tops, lefts = masks.any(axis=2).argmax(axis=1), masks.any(axis=1).argmax(axis=1)
    for corners in (tops, lefts):
        assert np.unique(corners).tolist() == list(range(32 - SQUARE + 1))
    assert abs(np.corrcoef(tops, lefts)[0, 1]) < 0.06  # three standard errors of 3000 pairs


@pytest.mark.parametrize("image_size", [24, 32])
def test_two_squares_never_overlap_and_have_their_own_classes(image_size: int) -> None:
    images, labels, masks = two_squares(240, num_classes=6, image_size=image_size, seed=3)
    assert masks.shape == (240, 2, image_size, image_size)
    assert (masks.sum(axis=(2, 3)) == SQUARE**2).all()
    assert not (masks[:, 0] & masks[:, 1]).any()
    assert len({(a, b) for a, b in labels.tolist()}) == 6 * 5, "every pair of different classes"
    assert np.bincount(labels[:, 0]).tolist() == [40] * 6
    without = noise(240, image_size, np.random.default_rng(3))
    outside = ~masks.any(axis=1)
    np.testing.assert_array_equal(images[outside], without[outside])
    for image, pair, both in zip(images, labels, masks, strict=True):
        for label, mask in zip(pair, both, strict=True):
            assert texture_frequencies(image, mask) == FREQUENCIES[list(TEXTURES)[label]]


@pytest.mark.parametrize("make", [make_squares, two_squares])
def test_a_seed_decides_everything(make: Callable[..., Squares]) -> None:
    first, again = (make(20, num_classes=3, image_size=32, seed=(5, ONE)) for _ in range(2))
    other = make(20, num_classes=3, image_size=32, seed=(6, ONE))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_the_dataset_repeats_itself_and_its_parts_share_no_image() -> None:
    source, again = (squares(num_train=60, num_test=60) for _ in range(2))
    assert source.class_names == list(TEXTURES)
    np.testing.assert_array_equal(source.train.images, again.train.images)
    assert len({TRAIN, TEST, ONE, TWO}) == 4
    fresh = make_squares(60, num_classes=6, image_size=32, seed=(0, ONE))
    pictures = [*source.train.images, *source.test.images, *fresh.images]
    assert len({picture.tobytes() for picture in pictures}) == 3 * 60


def test_fingerprints_differ_where_training_images_do() -> None:
    base = {"image_size": 32, "num_classes": 6, "num_train": 60, "seed": 0}
    changes = [{}, {"image_size": 24}, {"num_classes": 5}, {"num_train": 61}, {"seed": 1}]
    assert len({squares(**base | change, num_test=6).fingerprint for change in changes}) == len(changes)


@pytest.mark.parametrize("make", [make_squares, two_squares])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_classes": 7}, "num_classes must be from 2 to 6, a texture each: got 7"),
        ({"num_classes": 1}, "num_classes must be from 2 to 6, a texture each: got 1"),
        ({"image_size": 23}, "image_size must be 24 or more, room for two squares of 12 pixels: got 23"),
        ({"num_images": 5}, "squares need an image a class, 6 or more: got 5"),
    ],
)
def test_what_cannot_be_drawn_is_named(
    make: Callable[..., Squares], change: dict[str, int], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        make(**{"num_images": 12, "num_classes": 6, "image_size": 32, "seed": 0} | change)
