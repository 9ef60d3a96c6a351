"""Sheets and charts: the pixels that were meant lie where they were meant."""

import numpy as np
import pytest
import torch
from PIL import Image

from src.attribution.maps import heat, heat_overlay, signed, signed_overlay
from src.drawing.charts import as_image, confusion_figure, per_class_figure, reliability_figure
from src.drawing.mistakes import Answer, Case, captioned, evidence_block, grad_cam_block, percent
from src.drawing.sheet import (
    FONT_SIZE,
    GAP,
    MIN_FONT_SIZE,
    TILE,
    above,
    as_chw,
    beside,
    fitted,
    grid,
    text,
    tile,
)
from src.find_lr.measure import range_test_figure
from src.metrics.errors import confusion_matrix, per_class, reliability
from src.metrics.predictions import Predictions

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
BOTH = (Answer("predicted", "dog", 0.97), Answer("actual", "cat", 0.02))
CASE = Case(PICTURE, BOTH)


def plain(width: int, height: int, color: str) -> Image.Image:
    return Image.new("RGB", (width, height), color)


def test_a_tile_shows_the_pixels_sharply() -> None:
    large = np.asarray(tile(PICTURE, 128))  # four times
    np.testing.assert_array_equal(large[::4, ::4], PICTURE)
    np.testing.assert_array_equal(large[3::4, 3::4], PICTURE)
    from_tensor = tile(torch.from_numpy(PICTURE).permute(2, 0, 1) / 255, 128)
    np.testing.assert_array_equal(np.asarray(from_tensor), large)


def test_sheets_place_their_parts() -> None:
    red, blue = plain(10, 4, "red"), plain(10, 4, "blue")
    sheet = np.asarray(grid([red, blue, red], columns=2, gap=2))
    assert sheet.shape == (2 + 4 + 2 + 4 + 2, 2 + 10 + 2 + 10 + 2, 3)
    assert sheet[2:6, 2:12].reshape(-1, 3).tolist() == [[255, 0, 0]] * 40
    assert sheet[2:6, 14:24].reshape(-1, 3).tolist() == [[0, 0, 255]] * 40
    assert sheet[8:12, 2:12].reshape(-1, 3).tolist() == [[255, 0, 0]] * 40, "a short row starts at the left"
    assert (sheet[8:12, 14:24] == 255).all()
    assert beside([red, blue], gap=3).size == (23, 4)
    assert above([red, blue], gap=3).size == (10, 11)
    assert as_chw(red)[:, 0, 0].tolist() == [255, 0, 0]


def test_long_words_are_set_smaller_and_then_cut() -> None:
    assert fitted("cat", 128) == ("cat", FONT_SIZE)
    words, size = fitted("automobile 97%", 128)
    assert words == "automobile 97%"
    assert MIN_FONT_SIZE <= size < FONT_SIZE
    words, size = fitted("pneumonoultramicroscopicsilicovolcanoconiosis", 128)
    assert words.startswith("pneumono")
    assert words.endswith("…")
    assert size == MIN_FONT_SIZE
    assert text([("cat", "black")], 128).getextrema()[0][0] < 50, "something dark is written"


def test_percentages_do_not_round_to_certainty() -> None:
    shares = (0.0, 0.001, 0.0099, 0.974, 0.9949, 0.9951, 1.0, float("nan"))
    assert [percent(s) for s in shares] == ["0%", "<1%", "<1%", "97%", "99%", ">99%", "100%", "nan"]


def test_a_mistake_is_the_image_above_its_words() -> None:
    block = captioned(CASE)
    np.testing.assert_array_equal(np.asarray(block)[:TILE, :TILE], np.asarray(tile(PICTURE)))
    blue, orange = (0, 0x72, 0xB2), (0xC4, 0x4E, 0)
    colors = {color for _, color in block.crop((0, TILE, TILE, block.height)).getcolors(10_000) or []}
    assert {blue, orange} <= colors


def test_grad_cam_tiles_are_the_overlays_of_their_maps() -> None:
    raw = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0))
    none = -torch.ones(2, 4, 4)
    block = np.asarray(grad_cam_block(CASE, {"stage1": raw, "stage2": none}))
    row_height = TILE + 2 * round(FONT_SIZE * 1.25) + GAP
    for row in range(2):
        want = heat_overlay(CASE.large, heat(raw[row][None, None], (TILE, TILE))[0, 0])
        got = block[row * row_height : row * row_height + TILE, TILE + GAP : 2 * TILE + GAP]
        np.testing.assert_array_equal(got, np.asarray(tile(want)))
        empty = block[row * row_height : row * row_height + TILE, 2 * (TILE + GAP) : 3 * TILE + 2 * GAP]
        bare = np.asarray(tile(heat_overlay(CASE.large, torch.zeros(TILE, TILE))))
        written = (empty != bare).any(-1)
        assert 0.02 < written.mean() < 0.3, "the picture, with `no positive evidence` across it"


def test_evidence_tiles_are_predicted_actual_and_difference() -> None:
    maps = torch.tensor([[[3.0, -1.0]], [[1.0, 1.0]]])
    block = np.asarray(evidence_block(CASE, maps))
    scaled = signed(torch.stack([maps[0], maps[1], maps[0] - maps[1]])[None], (TILE, TILE))[0]
    assert float(scaled.abs().max()) == 1.0
    for k in range(3):
        left = (k + 1) * (TILE + GAP)
        want = np.asarray(tile(signed_overlay(CASE.large, scaled[k])))
        np.testing.assert_array_equal(block[:TILE, left : left + TILE], want)
    alone = evidence_block(Case(PICTURE, BOTH[:1]), maps[:1])
    assert alone.width == 2 * TILE + GAP, "without an actual class there is no difference"


def test_charts_draw_for_few_and_for_many_classes_and_for_none_seen() -> None:
    for num_classes in (2, 10, 200):
        labels = np.zeros(30, dtype=np.int64)  # one class only
        said = Predictions(np.arange(30), labels, RNG.normal(size=(30, num_classes)))
        names = [f"class {k}" for k in range(num_classes)]
        for figure in (
            confusion_figure(confusion_matrix(said), names),
            per_class_figure(per_class(said), names),
            reliability_figure(reliability(said)),
        ):
            picture = as_image(figure)
            assert min(picture.size) > 100
            assert len(picture.getcolors(1_000_000) or []) > 10


def test_the_confusion_figure_writes_the_counts() -> None:
    matrix = np.array([[50, 3], [0, 47]])
    axes = confusion_figure(matrix, ["cat", "dog"]).axes[0]
    assert [t.get_text() for t in axes.texts] == ["50", "3", "0", "47"]
    assert axes.get_title() == "97 of 100 right (97.00%)"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]


def test_the_confusion_figure_writes_percentages_of_each_row() -> None:
    axes = confusion_figure(np.array([[30, 10], [0, 2]]), ["cat", "dog"], percent=True).axes[0]
    assert [t.get_text() for t in axes.texts] == ["75.0", "25.0", "0.0", "100.0"]
    assert axes.get_title() == "32 of 42 right (76.19%), % of each row"


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_the_range_test_has_the_axis_of_its_mode(scale: str) -> None:
    values = np.linspace(0.1, 1, 5)
    axes = range_test_figure(values, values, values, None, scale=scale, loss="validation").axes[0]
    assert (axes.get_xscale(), axes.get_ylabel()) == (scale, "validation loss")
