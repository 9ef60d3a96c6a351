"""The error atlas: test images that tell variants apart, and what each variant predicted for them.

Here from `predictions.csv` alone; `src.compare.atlas_pictures` adds the pictures.
Shapes: V variants, R runs of a variant, N images.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from src.compare.runs import Run
from src.compare.variants import Variant
from src.metrics.predictions import SavedPredictions
from src.runs.predictions import NAME, read_answers
from src.runs.summary import one_line

SHOWN = 8  # variants beside each other
# What of a run's configuration says which images it is tested on
_TEST_SET = ("data.source.", "data.root", "data.image_size")


class Choice(NamedTuple):
    """Images of one kind, and how many there are in all.

    `alone` is the variant that differs from all the others, None where none does; `right` says whether it
    is the one that is right. `images` are rows of the test set, the most confident mistakes first.
    """

    alone: int | None
    right: bool
    images: np.ndarray
    num_images: int


def choose(
    variants: Sequence[Sequence[SavedPredictions]], *, common: int = 6, others: int = 18
) -> list[Choice]:
    """Images that every run of every variant gets wrong; then, for each variant, those that it alone gets
    wrong (in all its runs, while all runs of the others are right) and those that it alone gets right.

    Of two variants, what one alone gets right is what the other alone gets wrong: it is told once. An
    image is ranked by the confidence of those who are wrong: the mean over variants of the mean over runs.

    Args:
        variants: the runs of each of the V variants, on the same N images.
        common: images that all fail, at most.
        others: images of all other kinds together, at most; each kind gets the same number, up to six and
            at least one.
    """
    wrong = np.stack([np.all([run.wrong for run in runs], axis=0) for runs in variants])  # (V, N)
    right = np.stack([~np.any([run.wrong for run in runs], axis=0) for runs in variants])
    confidence = np.stack([np.mean([run.confidence for run in runs], axis=0) for runs in variants])
    everyone = np.arange(len(variants))
    kinds: list[tuple[int | None, bool, np.ndarray, np.ndarray]] = []
    if len(variants) > 1:
        for k in everyone:
            rest = everyone != k
            kinds.append((int(k), False, wrong[k] & right[rest].all(axis=0), everyone == k))
            if len(variants) > 2:
                kinds.append((int(k), True, right[k] & wrong[rest].all(axis=0), rest))
    kinds = [kind for kind in kinds if kind[2].any()]
    each = min(6, max(1, others // max(1, len(kinds))))
    found = [ranked(None, False, np.asarray(wrong.all(axis=0)), confidence, common)]
    return found + [
        ranked(alone, is_right, mask, confidence[who], each) for alone, is_right, mask, who in kinds
    ]


def ranked(alone: int | None, right: bool, mask: np.ndarray, confidence: np.ndarray, count: int) -> Choice:
    """The `count` masked images (N,) of the highest mean confidence (V, N); of equals, the earlier one."""
    rows = np.flatnonzero(mask)
    order = np.argsort(-confidence.mean(axis=0)[rows], kind="stable")
    return Choice(alone, right, rows[order][:count], len(rows))


@dataclass(frozen=True)
class Cell:
    """What a variant's representative said about an image; `seen` is a WebP picture of where it looked."""

    predicted: int
    prediction: str
    confidence: float
    right: bool
    seen: bytes | None = None


@dataclass(frozen=True)
class Row:
    """A test image, by its position in the test set, and a cell for each variant; `picture` is WebP."""

    index: int
    label: str
    cells: Sequence[Cell]
    picture: bytes | None = None


@dataclass(frozen=True)
class _ImageGroup:
    """Images of one kind: see `Choice`; `alone` is the place of a variant."""

    alone: int | None
    right: bool
    num_images: int
    rows: Sequence[Row]


@dataclass(frozen=True)
class Atlas:
    """The variants shown, a representative run of each, shelves of images, and what is missing and why."""

    variants: Sequence[Variant] = ()
    runs: Sequence[Run] = ()
    shelves: Sequence[_ImageGroup] = ()
    notes: Sequence[str] = field(default_factory=list)


def plan_atlas(ranked: Sequence[Variant]) -> Atlas:
    """Choose the images; a variant whose predictions cannot be read is left out and told in a line.

    Args:
        ranked: variants, the best first: the first eight that can be used are shown.
    """
    notes: list[str] = []
    found: list[tuple[Variant, list[SavedPredictions]]] = []
    usable = [variant for variant in ranked if variant.counted]
    for variant in usable:
        if len(found) == SHOWN:
            notes.append(f"Of {len(usable)} variants, the best {SHOWN} are compared.")
            break
        try:
            answers = [read_answers(run.folder / NAME) for run in variant.counted]
        except FileNotFoundError:
            notes.append(f"{variant.name} is left out: a run has no {NAME} (callbacks=training keeps none).")
        except (OSError, ValueError, csv.Error) as error:
            notes.append(f"{variant.name} is left out: {one_line(error)}")
        else:
            found.append((variant, answers))
    if not found:
        return Atlas(notes=[*notes, "No variant has predictions."])
    if not same_test_set(found):
        return Atlas(notes=[*notes, "The variants were tested on different images."])
    chosen = choose([answers for _, answers in found])
    return Atlas(
        variants=[variant for variant, _ in found],
        runs=[variant.counted[0] for variant, _ in found],
        shelves=[shelf(choice, [answers[0] for _, answers in found]) for choice in chosen],
        notes=notes,
    )


def same_test_set(found: Sequence[tuple[Variant, list[SavedPredictions]]]) -> bool:
    """Whether all runs are configured for the same test images and met the same labels."""
    configs = {json.dumps(test_set(run), sort_keys=True) for variant, _ in found for run in variant.counted}
    labels = [run.labels for _, answers in found for run in answers]
    return len(configs) == 1 and all(np.array_equal(labels[0], other) for other in labels)


def test_set(run: Run) -> dict[str, object]:
    """What says which images a run is tested on."""
    return {key: value for key, value in run.config.items() if key.startswith(_TEST_SET)}


def shelf(choice: Choice, said: Sequence[SavedPredictions]) -> _ImageGroup:
    """A kind of images with what the representatives said about them."""
    rows = []
    for k in choice.images.tolist():
        cells = [
            Cell(
                predicted=(guess := int(one.predicted[k])),
                prediction=one.class_names[guess],
                confidence=float(one.confidence[k]),
                right=not one.wrong[k],
            )
            for one in said
        ]
        rows.append(Row(k, said[0].class_names[said[0].labels[k]], cells))
    return _ImageGroup(choice.alone, choice.right, choice.num_images, rows)
