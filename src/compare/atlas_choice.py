"""Which test images tell variants apart: those that all fail, and those that one alone fails or gets.

Shapes: V variants, R runs of a variant, N images.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from src.metrics.predictions import SavedPredictions


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
