"""Images with what the network said about them, and where it looked.

Shapes: H and W of an image, h and w of a layer's maps, T classes that maps are shown for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from src.attribution.maps import has_evidence, heat, heat_overlay, signed, signed_overlay
from src.drawing.sheet import (
    ACTUAL,
    FAINT,
    GAP,
    INK,
    PREDICTED,
    TILE,
    above,
    beside,
    noted,
    text,
    tile,
)


@dataclass(frozen=True)
class Answer:
    """A class and the probability that the network gives it; `role` is predicted, actual or target."""

    role: str
    name: str
    prob: float

    @property
    def ink(self) -> str:
        return PREDICTED if self.role == "predicted" else ACTUAL


@dataclass(frozen=True)
class Case:
    """An image (H, W, 3) uint8, shown `side` pixels wide, and its T answers: the predicted class first."""

    picture: np.ndarray
    answers: Sequence[Answer]
    side: int = TILE

    @property
    def large(self) -> Tensor:
        """The image as a square, (3, side, side) in [0, 1]."""
        return torch.from_numpy(np.array(tile(self.picture, self.side))).permute(2, 0, 1) / 255


def percent(share: float) -> str:
    """`97%`; never 100% for what is less, nor 0% for what is more."""
    if not np.isfinite(share):
        return "nan"
    if 0.995 <= share < 1:
        return ">99%"
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def captioned(case: Case) -> Image.Image:
    """A mistake above its caption: actual / predicted (confidence)."""
    predicted, actual = case.answers
    said = f"{predicted.name} {percent(predicted.prob)}"
    lines = [(f"{actual.name} /", actual.ink), (said, predicted.ink)]
    return above([tile(case.picture, case.side), text(lines, case.side)])


def grad_cam_block(case: Case, maps: Mapping[str, Tensor]) -> Image.Image:
    """A row for each answer: the image, then its Grad-CAM in one column a layer.

    Args:
        case: what is shown.
        maps: layer -> (T, h, w) raw maps of the case's answers.
    """
    picture, side = case.large, case.side
    rows = []
    for row, answer in enumerate(case.answers):
        said = f"{answer.name} {percent(answer.prob)}"
        cells = [above([tile(picture, side), text([(answer.role, FAINT), (said, answer.ink)], side)])]
        for layer, raw in maps.items():
            one = raw[row][None, None]
            seen = tile(heat_overlay(picture, heat(one, (side, side))[0, 0]), side)
            shown = seen if has_evidence(one).all() else noted(seen, ("no positive", "evidence"))
            cells.append(above([shown, text([(layer, INK), ("", INK)], side)]))
        rows.append(beside(cells))
    return above(rows, gap=GAP)


def evidence_block(case: Case, maps: Tensor) -> Image.Image:
    """The image | evidence for each answer | of two answers, the difference: why one and not the other.

    Args:
        case: what is shown.
        maps: (T, h, w) evidence for the case's answers.
    """
    picture, side = case.large, case.side
    shown = list(maps)
    titles = [[("evidence for", FAINT), (answer.name, answer.ink)] for answer in case.answers]
    if len(shown) == 2:
        first, second = case.answers
        shown.append(maps[0] - maps[1])
        titles.append([(first.name, first.ink), (f"less {second.name}", second.ink)])
    scaled = signed(torch.stack(shown)[None], (side, side))[0]
    probs = [(f"{answer.name} {percent(answer.prob)}", answer.ink) for answer in case.answers]
    columns = [above([tile(picture, side), text(probs[::-1], side)])]
    for one, title in zip(scaled, titles, strict=True):
        columns.append(above([tile(signed_overlay(picture, one), side), text(title, side)]))
    return beside(columns)
