"""Which images the atlas shows, on six images that one can go through by hand."""

import numpy as np
import pytest

from src.compare.atlas import Choice, choose
from src.metrics.predictions import SavedPredictions, class_accuracy, total_confusion

NAMES = ("ant", "bee", "cow")


def run(wrong: str, confidence: list[float] | None = None) -> SavedPredictions:
    """Images of class 0; an `x` in `wrong` is one that is taken for class 1."""
    predicted = np.array([int(sign == "x") for sign in wrong])
    return SavedPredictions(
        np.zeros(len(wrong), int), predicted, np.array(confidence or [0.5] * len(wrong)), NAMES
    )


def told(choices: list[Choice]) -> list[tuple[int | None, bool, list[int], int]]:
    return [(c.alone, c.right, c.images.tolist(), c.num_images) for c in choices]


def test_three_variants() -> None:
    # image:      0  1  2  3  4  5
    # A fails     x  x  .  x  x  .   in both its runs, but 5 in one of them only
    # B fails     x  .  x  x  .  .
    # C fails     x  .  x  x  .  .
    a = [run("xx.xx.", [0.5, 0.6, 0.5, 0.9, 0.8, 0.5]), run("xx.xxx", [0.5, 0.6, 0.5, 0.9, 0.8, 0.5])]
    choices = choose([a, [run("x.xx..")], [run("x.xx..")]])
    assert told(choices) == [
        (None, False, [3, 0], 2),  # A is surer of 3
        (0, False, [4, 1], 2),  # only A fails; 5 is no such image, for one of A's runs is right
        (0, True, [2], 1),  # only A is right
    ]


def test_two_variants_are_told_once() -> None:
    choices = choose([[run("x..x")], [run("xx..")]])
    assert told(choices) == [(None, False, [0], 1), (0, False, [3], 1), (1, False, [1], 1)]


def test_a_variant_on_its_own_has_only_its_mistakes() -> None:
    assert told(choose([[run("x.x", [0.1, 0.5, 0.2])]])) == [(None, False, [2, 0], 2)]


def test_the_number_of_images_is_limited() -> None:
    a, b = "x" * 20 + "x" * 20 + "." * 20, "x" * 20 + "." * 20 + "x" * 20
    choices = choose([[run(a)], [run(b)]], common=6, others=8)
    assert [(c.alone, len(c.images), c.num_images) for c in choices] == [
        (None, 6, 20),
        (0, 4, 20),
        (1, 4, 20),
    ]


def test_runs_are_added_up_by_class() -> None:
    first = SavedPredictions(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0]), np.ones(4), NAMES)
    second = SavedPredictions(np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1]), np.ones(4), NAMES)
    confusion = total_confusion([first, second], 3)
    assert confusion.tolist() == [[2, 1, 1], [1, 3, 0], [0, 0, 0]]
    assert class_accuracy(confusion) == pytest.approx([0.5, 0.75, np.nan], nan_ok=True)
