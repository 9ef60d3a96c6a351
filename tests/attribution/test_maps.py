"""From raw maps to pictures, on values that one can work out."""

import math

import torch

from src.attribution.maps import (
    HEAT,
    SIGNED,
    color,
    has_evidence,
    heat,
    heat_overlay,
    overlay,
    signed,
    signed_overlay,
    unit,
    upsample,
)


def test_unit_spans_zero_to_one_and_is_never_nan() -> None:
    maps = torch.tensor([[[2.0, 4.0, 10.0]], [[-3.0, -3.0, -3.0]], [[5.0, 5.0, 5.0]], [[0.0, 0.0, 0.0]]])
    assert unit(maps).tolist() == [[[0.0, 0.25, 1.0]], [[0.0] * 3], [[1.0] * 3], [[0.0] * 3]]
    broken = torch.tensor([[[math.nan, 1.0, 3.0]], [[math.nan, math.inf, -math.inf]]])
    torch.testing.assert_close(unit(broken), torch.tensor([[[0.0, 1 / 3, 1.0]], [[0.0] * 3]]))


def test_upsampling_is_bilinear_between_pixel_centres() -> None:
    # Two pixels to four: centres at 1/4 and 3/4 of each, so 0, 1/4, 3/4, 1 of the way
    large = upsample(torch.tensor([[[[0.0, 8.0]]]]), (1, 4))
    assert large.tolist() == [[[[0.0, 2.0, 6.0, 8.0]]]]


def test_heat_keeps_only_what_speaks_for_the_class() -> None:
    raw = torch.tensor([[[[-5.0, 1.0], [2.0, 3.0]]], [[[-1.0, -2.0], [-3.0, -4.0]]]])
    got = heat(raw, (2, 2))
    torch.testing.assert_close(got[0, 0], torch.tensor([[0.0, 1 / 3], [2 / 3, 1.0]]))
    assert got[1].eq(0).all()
    assert has_evidence(raw).tolist() == [[True], [False]]


def test_signed_maps_share_one_scale_and_keep_zero() -> None:
    maps = torch.tensor([[[[4.0, 0.0]], [[-8.0, 2.0]]], [[[0.0, 0.0]], [[0.0, 0.0]]]])
    assert signed(maps, (1, 2)).tolist() == [[[[0.5, 0.0]], [[-1.0, 0.25]]], [[[0.0, 0.0]], [[0.0, 0.0]]]]


def test_colors_are_the_maps_own_ends() -> None:
    ends = color(torch.tensor([[0.0, 1.0]]), HEAT)
    assert ends.shape == (3, 1, 2)
    torch.testing.assert_close(ends[:, 0, 0], torch.tensor([0.001462, 0.000466, 0.013866]))  # inferno's first
    torch.testing.assert_close(ends[:, 0, 1], torch.tensor([0.988362, 0.998364, 0.644924]))  # and last
    for_it, against = (
        color(torch.tensor([[1.0]]), SIGNED)[:, 0, 0],
        color(torch.tensor([[0.0]]), SIGNED)[:, 0, 0],
    )
    assert for_it[0] > for_it[2], "orange: more red than blue"
    assert against[2] > against[1], "purple: more blue than green"


def test_overlay_blends_by_strength() -> None:
    picture, paint = torch.zeros(3, 1, 3), torch.ones(3, 1, 3)
    got = overlay(picture, paint, torch.tensor([[0.0, 0.25, 1.0]]))
    assert got[0].tolist() == [[0.0, 0.25, 1.0]]


def test_overlays_show_the_picture_where_nothing_speaks() -> None:
    picture = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    grey = signed_overlay(picture, torch.zeros(4, 4))
    torch.testing.assert_close(grey, (picture.mean(0) * 0.6 + 0.2).expand(3, 4, 4))
    low, high = heat_overlay(picture, torch.zeros(4, 4)), heat_overlay(picture, torch.ones(4, 4))
    assert ((low - picture).abs() < (high - picture).abs()).float().mean() > 0.5
