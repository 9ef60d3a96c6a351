"""Batched ops against albumentations given the same draws, and pipelines against what they promise."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import albumentations as A
import albumentations.augmentations.geometric.functional as turning
import cv2
import numpy as np
import pytest
import torch
from albumentations.augmentations.dropout.functional import cutout

from src.config.build import build
from src.data import pixels
from src.data.batched import (
    AlternatingFlip,
    BatchedAugment,
    BatchedPipeline,
    CoarseDropout,
    HorizontalFlip,
    RandomCrop,
    Rotate,
)
from src.data.draws import Draws
from src.data.pixels import View
from src.data.stats import Stats
from src.notebook import compose

STATS = Stats((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
COUNT = 400
IMAGES = np.random.default_rng(7).integers(0, 256, (COUNT, 20, 24, 3), dtype=np.uint8)  # higher is not wider
WHOLE = View.whole(torch.from_numpy(IMAGES))
RNG = np.random.default_rng(3)


def pipeline(name: str, *overrides: str) -> BatchedAugment:
    found: BatchedAugment = build(compose(f"augment={name}", *overrides).cfg.augment).bind(STATS)
    return found


def draws(count: int = COUNT, epoch: int = 0, seed: int = 0) -> Draws:
    return Draws(seed, torch.full((count,), epoch), torch.arange(count))


def test_pad_is_albumentations() -> None:
    pad = A.Pad(padding=4, border_mode=cv2.BORDER_REFLECT_101, p=1)
    want = np.stack([pad(image=image)["image"] for image in IMAGES])
    np.testing.assert_array_equal(pixels.pad(WHOLE, 4).pixels(), want)
    with pytest.raises(ValueError, match="padding must be less than the image's 20 pixels: got 20"):
        pixels.pad(WHOLE, 20)


def test_crop_is_albumentations() -> None:
    top, left = RNG.integers(0, 8, COUNT), RNG.integers(0, 10, COUNT)
    want = [
        A.Crop(x, y, x + 15, y + 13, p=1)(image=image)["image"]
        for image, y, x in zip(IMAGES, top.tolist(), left.tolist(), strict=True)
    ]
    got = pixels.crop(WHOLE, torch.from_numpy(top), torch.from_numpy(left), 13, 15)
    np.testing.assert_array_equal(got.pixels(), np.stack(want))


def test_flip_is_albumentations() -> None:
    flipped = RNG.random(COUNT) < 0.5
    flip = A.HorizontalFlip(p=1)
    want = [flip(image=x)["image"] if f else x for x, f in zip(IMAGES, flipped, strict=True)]
    np.testing.assert_array_equal(pixels.flip(WHOLE, torch.from_numpy(flipped)).pixels(), np.stack(want))


def test_flip_of_a_crop_of_a_pad_is_albumentations_in_any_order() -> None:
    top, left, flipped = RNG.integers(0, 9, COUNT), RNG.integers(0, 9, COUNT), RNG.random(COUNT) < 0.5
    drawn = [torch.from_numpy(x) for x in (top, left)]
    padding = A.Pad(padding=4, border_mode=cv2.BORDER_REFLECT_101, p=1)
    flip = A.HorizontalFlip(p=1)
    first, last = [], []
    for image, y, x, f in zip(IMAGES, top.tolist(), left.tolist(), flipped, strict=True):
        crop = A.Crop(x, y, x + 24, y + 20, p=1)
        first.append(A.Compose([flip, padding, crop] if f else [padding, crop])(image=image)["image"])
        last.append(A.Compose([padding, crop, flip] if f else [padding, crop])(image=image)["image"])
    got = pixels.crop(pixels.pad(pixels.flip(WHOLE, torch.from_numpy(flipped)), 4), *drawn, 20, 24)
    np.testing.assert_array_equal(got.pixels(), np.stack(first))
    got = pixels.flip(pixels.crop(pixels.pad(WHOLE, 4), *drawn, 20, 24), torch.from_numpy(flipped))
    np.testing.assert_array_equal(got.pixels(), np.stack(last))


@pytest.mark.parametrize("limit", [5, 45])
def test_rotation_is_albumentations_within_a_grey_level(limit: float) -> None:
    degrees = RNG.uniform(-limit, limit, COUNT).astype(np.float32)
    got = pixels.rotate(torch.from_numpy(IMAGES), torch.from_numpy(degrees)).numpy()
    none, same, centre = {"x": 0, "y": 0}, {"x": 1, "y": 1}, turning.center((20, 24))
    want = np.stack(
        [
            turning.warp_affine(
                image,
                turning.create_affine_transformation_matrix(none, none, same, float(angle), centre),
                cv2.INTER_LINEAR,
                0,
                cv2.BORDER_REFLECT_101,
                (20, 24),
            )
            for image, angle in zip(IMAGES, degrees, strict=True)
        ]
    )
    difference = np.abs(got.astype(int) - want.astype(int))
    assert difference.max() <= 1  # of noise, the hardest there is
    assert difference.mean() < 0.01
    still = pixels.rotate(torch.from_numpy(IMAGES), torch.zeros(COUNT))
    np.testing.assert_array_equal(still, IMAGES)


def test_normalize_is_albumentations() -> None:
    normalize = A.Normalize(STATS.mean, STATS.std, max_pixel_value=255.0)
    want = np.stack([normalize(image=image)["image"] for image in IMAGES])
    got = pixels.normalize(torch.from_numpy(IMAGES), STATS)
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-6)
    np.testing.assert_allclose(got, (IMAGES / 255 - STATS.mean) / STATS.std, rtol=0, atol=2e-6)


@pytest.mark.parametrize("fill", [0.0, 1.5])
def test_cut_out_is_albumentations(fill: float) -> None:
    height, width = RNG.integers(0, 9, (3, COUNT)), RNG.integers(1, 9, (3, COUNT))
    top, left = RNG.integers(0, 21 - height), RNG.integers(0, 25 - width)
    values = RNG.normal(size=IMAGES.shape).astype(np.float32)
    holes = np.stack([left, top, left + width, top + height]).transpose(2, 1, 0)  # (COUNT, 3, 4)
    want = np.stack([cutout(x, k, fill, RNG) for x, k in zip(values, holes, strict=True)])
    place = {"top": top, "left": left, "height": height, "width": width}
    got = pixels.cut_out(
        torch.from_numpy(values), **{k: torch.from_numpy(v) for k, v in place.items()}, fill=fill
    )
    np.testing.assert_array_equal(got, want)


def moved(op: Callable[[View, Draws], View], drawn: Draws) -> tuple[np.ndarray, np.ndarray]:
    view = op(View.whole(torch.zeros(len(drawn.image), 40, 36, 1, dtype=torch.uint8)), drawn)
    return view.rows.numpy(), view.columns.numpy()


def test_crops_take_every_place_equally_often_and_flips_half() -> None:
    rows, columns = moved(RandomCrop(32, 32), draws(10_000))
    assert (np.diff(rows) == 1).all()
    counts = np.histogram2d(rows[:, 0], columns[:, 0], bins=(range(10), range(6)))[0]
    assert counts.sum() == 10_000
    assert np.abs(counts - 10_000 / 45).max() < 4.5 * (10_000 / 45) ** 0.5
    _, columns = moved(HorizontalFlip(0.3), draws(10_000))
    assert abs((columns[:, 0] == 35).mean() - 0.3) < 4 * (0.21 / 10_000) ** 0.5
    with pytest.raises(ValueError, match="a crop of 41x32 pixels is larger than the image of 40x36"):
        moved(RandomCrop(41, 32), draws(1))


def test_alternating_flip_shows_both_sides_in_any_two_epochs() -> None:
    flipped = [moved(AlternatingFlip(), draws(10_000, epoch))[1][:, 0] == 35 for epoch in range(4)]
    assert abs(flipped[0].mean() - 0.5) < 0.02
    assert all((one != two).all() for one, two in pairwise(flipped))
    other_seed = moved(AlternatingFlip(), draws(10_000, seed=1))[1][:, 0] == 35
    assert 0.48 < (other_seed == flipped[0]).mean() < 0.52


def test_rotation_draws_angles_evenly_between_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[torch.Tensor] = []
    monkeypatch.setattr(pixels, "rotate", lambda images, degrees: drawn.append(degrees) or images)
    moved(Rotate(limit=5, p=0.75), draws(10_000))
    degrees = drawn[0].numpy()
    assert abs((degrees == 0).mean() - 0.25) < 0.02
    counts, _ = np.histogram(degrees[degrees != 0], bins=10, range=(-5, 5))
    assert counts.sum() == (degrees != 0).sum()
    assert np.abs(counts - 750).max() < 4 * 750**0.5


def test_dropout_draws_numbers_sizes_and_places_of_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(pixels, "cut_out", lambda images, **drawn: seen.update(drawn) or images)
    dropout = CoarseDropout((1, 3), (4, 6), (8, 8), p=0.8)
    dropout(torch.zeros(20_000, 20, 10, 3), draws(20_000))
    there = (seen["height"] > 0).numpy()
    share = np.bincount(there.sum(axis=0), minlength=4) / 20_000
    np.testing.assert_allclose(share, [0.2, 0.8 / 3, 0.8 / 3, 0.8 / 3], atol=0.015)
    height, top, left = (seen[key].numpy()[there] for key in ("height", "top", "left"))
    np.testing.assert_allclose(np.bincount(height)[4:] / len(height), [1 / 3] * 3, atol=0.015)
    for size in (4, 5, 6):  # from 0 to where the hole still lies within
        counts = np.bincount(top[height == size])
        assert len(counts) == 20 - size + 1
        assert np.abs(counts - counts.mean()).max() < 4.5 * counts.mean() ** 0.5
    np.testing.assert_allclose(np.bincount(left) / len(left), [1 / 3] * 3, atol=0.015)
    assert (seen["width"] == 8).all()


@pytest.mark.parametrize(
    "name", ["crop_rotate_cutout", "crop_flip_cutouts", "standard_cutout", "alternating", "tiny_imagenet"]
)
def test_an_image_comes_out_the_same_in_any_batch(name: str) -> None:
    augment = pipeline(name, "data.image_size=20")
    images = torch.from_numpy(np.ascontiguousarray(IMAGES[:, :, :20]))
    if name == "tiny_imagenet":  # its holes are larger than these images: cut to them
        assert (augment(images.clone(), draws()) == 0).all(dim=(1, 2, 3)).float().mean() > 0.7
    epoch, image = torch.full((COUNT,), 3), torch.arange(COUNT)
    whole = augment(images, Draws(1, epoch, image))
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0))
    for part in order.split(37):
        assert torch.equal(augment(images[part], Draws(1, epoch[part], image[part])), whole[part])
    assert not torch.equal(augment(images, Draws(2, epoch, image)), whole)
    assert not torch.equal(augment(images, Draws(1, epoch + 1, image)), whole)
    assert whole.is_contiguous()


@pytest.mark.parametrize("name", ["crop_rotate_cutout", "crop_flip_cutouts", "standard", "standard_cutout"])
def test_pipelines_look_as_albumentations_do(name: str) -> None:
    """On the average over many draws of one picture; each op's own test is exact."""
    image = cv2.GaussianBlur(
        np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8), (5, 5), 2
    )
    theirs = build(compose(f"augment=albumentations_{name}").cfg.augment).bind(STATS)
    many = torch.from_numpy(image).expand(1500, -1, -1, -1)
    ours, want = pipeline(name)(many, draws(1500)), theirs(many, draws(1500))
    spread = float(want.std())
    assert float((ours.mean(0) - want.mean(0)).abs().max()) < 6.5 * spread / (1500 / 2) ** 0.5
    np.testing.assert_allclose(ours.std(0).mean(), want.std(0).mean(), rtol=0.03)
    np.testing.assert_allclose((ours == 0).float().mean(), (want == 0).float().mean(), atol=0.01)


def test_every_op_of_a_pipeline_draws_numbers_of_its_own() -> None:
    drawn: list[torch.Tensor] = []

    def probe(passed: Any, its: Draws) -> Any:
        drawn.append(its.uniform(1)[0])
        return passed

    augment = BatchedPipeline([probe, probe], [probe, probe]).bind(STATS)
    augment(torch.from_numpy(IMAGES), draws())
    for place, numbers in enumerate(drawn):
        assert torch.equal(numbers, draws().of(place).uniform(1)[0])
    assert len(torch.cat(drawn).unique()) > 4 * COUNT - 3


def test_none_only_normalizes() -> None:
    got = pipeline("none")(torch.from_numpy(IMAGES), draws())
    assert torch.equal(got, pixels.normalize(torch.from_numpy(IMAGES), STATS))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("augment.normalized.0.p=1.5", "CoarseDropout: p must be between 0 and 1: got 1.5"),
        ("augment.pixels.2.p=-1", "Rotate: p must be between 0 and 1: got -1"),
        ("augment.pixels.0.padding=-1", "Pad: padding must be 0 pixels or more: got -1"),
        (
            "augment.normalized.0.num_holes_range=[2,1]",
            "num_holes_range must be two whole numbers, .* got [2, 1]",
        ),
        ("augment.normalized.0.hole_width_range=[0.1,0.2]", "hole_width_range .* from 1 up: got [0.1, 0.2]"),
    ],
)
def test_what_cannot_be_drawn_is_told(override: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("[", r"\[")):
        pipeline("crop_rotate_cutout", override)
