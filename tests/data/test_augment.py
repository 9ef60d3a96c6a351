"""Albumentations pipelines, image by image, against crops, flips and cutouts made by hand."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from scipy.ndimage import rotate

from src.config.build import build
from src.data.augment import Augment
from src.data.draws import Draws
from src.data.stats import Stats
from src.notebook import compose

STATS = Stats((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
KEYS = [(0, epoch, index) for epoch in range(4) for index in range(50)]


def pipeline(*overrides: str) -> Augment:
    return build(compose(*overrides).cfg.augment).bind(STATS)


def picture(size: int = 32) -> np.ndarray:
    """Noise: every crop of it differs from every other."""
    return np.random.default_rng(7).integers(0, 256, (size, size, 3), dtype=np.uint8)


def normalize(image: np.ndarray) -> np.ndarray:
    return (image / 255 - np.array(STATS.mean)) / np.array(STATS.std)


def by_hand(image: np.ndarray, pad: int) -> dict[tuple[int, int, bool], np.ndarray]:
    """Every reflect-padded crop, plain and mirrored, normalized: (top, left, flipped) -> image."""
    size = len(image)
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
    crops = {}
    for top in range(2 * pad + 1):
        for left in range(2 * pad + 1):
            crop = padded[top : top + size, left : left + size]
            crops[top, left, False] = normalize(crop)
            crops[top, left, True] = normalize(crop[:, ::-1])
    return crops


def holes_of(got: np.ndarray, crop: np.ndarray) -> np.ndarray | None:
    """Mask of the pixels cut out to the mean, if everything else equals the crop."""
    mask = (got == 0).all(axis=-1)
    return mask if np.allclose(got[~mask], crop[~mask], atol=1e-5) else None


def match(
    got: np.ndarray, crops: dict[tuple[int, int, bool], np.ndarray]
) -> tuple[tuple[int, int, bool], np.ndarray]:
    found = [(place, mask) for place, crop in crops.items() if (mask := holes_of(got, crop)) is not None]
    assert len(found) == 1
    return found[0]


def extent(mask: np.ndarray) -> tuple[int, int]:
    """Height and width of the box around a mask."""
    rows, columns = np.where(mask.any(axis=1))[0], np.where(mask.any(axis=0))[0]
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def test_none_only_normalizes() -> None:
    image = picture()
    got = pipeline("augment=albumentations_none").one(image, (0, 0, 0))
    np.testing.assert_allclose(got, normalize(image), atol=1e-5)


def test_standard_is_a_crop_and_a_flip() -> None:
    augment, crops = pipeline("augment=albumentations_standard"), by_hand(picture(), pad=4)
    places = [match(augment.one(picture(), key), crops) for key in KEYS]
    assert not any(mask.any() for _, mask in places)
    assert 70 <= sum(flipped for (_, _, flipped), _ in places) <= 130  # 200 fair coins: 100 +- 4 sigma
    assert {top for (top, _, _), _ in places} == set(range(9))
    assert {left for (_, left, _), _ in places} == set(range(9))


def test_standard_cutout_has_one_square_always() -> None:
    augment, crops = pipeline("augment=albumentations_standard_cutout"), by_hand(picture(), pad=4)
    for key in KEYS[:60]:
        _, mask = match(augment.one(picture(), key), crops)
        assert extent(mask) == (12, 12)
        assert mask.sum() == 144


def test_seed_without_its_rotation_is_a_crop_and_a_square_half_of_the_time() -> None:
    augment = pipeline("augment=albumentations_crop_rotate_cutout", "augment.pixels.2.p=0.0")
    crops = by_hand(picture(), pad=4)
    found = [match(augment.one(picture(), key), crops) for key in KEYS]
    assert not any(flipped for (_, _, flipped), _ in found)
    masks = [mask for _, mask in found if mask.any()]
    assert {(extent(mask), int(mask.sum())) for mask in masks} == {((16, 16), 256)}
    assert 70 <= len(masks) <= 130


def test_seed_flip_has_one_to_three_squares() -> None:
    augment, crops = pipeline("augment=albumentations_crop_flip_cutouts"), by_hand(picture(), pad=4)
    found = [match(augment.one(picture(), key), crops) for key in KEYS]
    areas = [int(mask.sum()) for _, mask in found]
    assert all(area == 0 or 64 <= area <= 3 * 64 for area in areas)
    assert {64, 128, 192} <= set(areas)
    assert 140 <= sum(area > 0 for area in areas) <= 180  # p 0.8 of 200
    assert 70 <= sum(flipped for (_, _, flipped), _ in found) <= 130


def test_tiny_imagenet_without_its_rotation_is_a_crop_a_flip_and_a_square() -> None:
    augment = pipeline("augment=albumentations_tiny_imagenet", "data=tiny_imagenet", "augment.pixels.2.p=0.0")
    crops = by_hand(picture(64), pad=3)
    found = [match(augment.one(picture(64), key), crops) for key in KEYS[:60]]
    masks = [mask for _, mask in found if mask.any()]
    assert {(extent(mask), int(mask.sum())) for mask in masks} == {((32, 32), 1024)}
    assert 35 <= len(masks) <= 58


@pytest.mark.parametrize("name", ["crop_rotate_cutout", "tiny_imagenet"])
def test_rotation_turns_by_up_to_five_degrees(name: str) -> None:
    smooth = np.tile(np.linspace(0, 255, 32, dtype=np.uint8)[:, None, None], (1, 32, 3))
    alone = build(compose(f"augment=albumentations_{name}").cfg.augment)
    alone.pixels = [t for t in alone.pixels if type(t).__name__ == "Rotate"]
    alone.normalized = []
    turn = alone.bind(Stats((0.0,) * 3, (1 / 255,) * 3))
    candidates = {
        angle: rotate(smooth[..., 0].astype(float), angle, order=1, reshape=False, mode="mirror")
        for angle in np.linspace(-6, 6, 121)
    }
    angles = []
    for key in KEYS[:100]:
        got = turn.one(smooth, key)[..., 0]
        errors = {angle: np.abs(got - want)[4:-4, 4:-4].mean() for angle, want in candidates.items()}
        angles.append(min(errors, key=lambda angle: errors[angle]))
        assert errors[angles[-1]] < 1.5  # of 255: rounding to pixels
    assert max(np.abs(angles)) <= 5.1
    assert min(angles) < -3 < 3 < max(angles)


def test_draws_depend_on_seed_epoch_and_image_alone() -> None:
    augment, image = pipeline("augment=albumentations_crop_rotate_cutout"), picture()
    first = augment.one(image, (0, 1, 2))
    for key in [(0, 0, 0), (5, 5, 5)]:
        augment.one(image, key)
    np.testing.assert_array_equal(augment.one(image, (0, 1, 2)), first)
    for other in [(1, 1, 2), (0, 2, 2), (0, 1, 3)]:
        assert not np.array_equal(augment.one(image, other), first)


def test_cutout_fills_with_the_mean_of_the_data() -> None:
    augment = pipeline("augment=albumentations_crop_rotate_cutout", "augment.normalized.0.p=1.0")
    got = augment.one(np.full((32, 32, 3), 255, np.uint8), (0, 0, 0))
    assert int((got == 0).all(axis=-1).sum()) == 256


def test_a_batch_is_its_images_one_by_one() -> None:
    augment = pipeline("augment=albumentations_crop_rotate_cutout")
    images = np.stack([picture(), picture()[::-1]])
    draws = Draws(7, torch.tensor([3, 4]), torch.tensor([11, 5]))
    got = augment(torch.from_numpy(images), draws).numpy()
    want = [augment.one(images[0], (7, 3, 11)), augment.one(images[1], (7, 4, 5))]
    np.testing.assert_array_equal(got, np.stack(want))


def test_the_readmes_own_transforms_run() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", readme, flags=re.DOTALL)
    augment = build(OmegaConf.create(text)).bind(STATS)
    image = picture()
    got = [augment.one(image, key) for key in KEYS]
    assert {one.shape for one in got} == {image.shape}
    cut = np.mean([(one == 0).all(axis=-1).sum() >= 64 for one in got])  # holes of 8 x 8
    assert 0.35 < cut < 0.65
    as_drawn = {np.allclose(one, normalize(image), atol=1e-5) for one in got}
    assert as_drawn == {True, False}
