"""The most confident mistakes, and what the views share that show single mistakes."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from src.callbacks.evaluation import Evaluation, View
from src.drawing.mistakes import Answer, Case, captioned
from src.drawing.sheet import FAINT, grid, packed, save, text

PAGE = 5  # mistakes on a page in TensorBoard


@dataclass(kw_only=True)
class MistakesView(View):
    """Up to `num_images` mistakes, the most confident first.

    Args:
        folder: where the test's pictures are written as PNG files.
        every_n_epochs: also show the validation of every n-th epoch; None: the test alone.
        num_images: mistakes shown.
    """

    name: ClassVar[str]  # of tags and files

    folder: str
    every_n_epochs: int | None = 5
    num_images: int = 25

    def __call__(self, seen: Evaluation) -> None:
        rows = self.rows(seen)
        if len(rows):
            self.show_rows(seen, rows)
        else:
            words = text([(f"no mistakes among {len(seen)} images", FAINT)], 690)
            seen.add_image(self.name, packed(words))

    def rows(self, seen: Evaluation) -> np.ndarray:
        return seen.most_confident_mistakes(self.num_images)

    def show_rows(self, seen: Evaluation, rows: np.ndarray) -> None:
        raise NotImplementedError


@dataclass(kw_only=True)
class Misclassified(MistakesView):
    """A grid of mistakes, five in a row, each with its actual / predicted class (confidence)."""

    name = "misclassified"

    def show_rows(self, seen: Evaluation, rows: np.ndarray) -> None:
        picture = packed(grid([captioned(case) for case in cases(seen, rows)], columns=5))
        seen.add_image(self.name, picture)
        if seen.stage == "test":
            save(picture, Path(self.folder), self.name)


@dataclass(kw_only=True)
class PagedMistakes(MistakesView):
    """A block of maps for each mistake: pages of `PAGE` in TensorBoard, the first blocks as a PNG file.

    Args:
        num_in_png: mistakes in the file.
    """

    num_in_png: int = 6

    def rows(self, seen: Evaluation) -> np.ndarray:
        """While training, only the first page: sheets of maps are large, and training has many of them."""
        return super().rows(seen)[: PAGE if seen.stage == "val" else None]

    def blocks(self, seen: Evaluation, rows: np.ndarray) -> list[Image.Image]:
        """A picture for each of these rows, or none at all."""
        raise NotImplementedError

    def show_rows(self, seen: Evaluation, rows: np.ndarray) -> None:
        blocks = self.blocks(seen, rows)
        for start in range(0, len(blocks), PAGE):
            page = packed(grid(blocks[start : start + PAGE], columns=1, gap=14))
            seen.add_image(f"{self.name}/{start // PAGE + 1}", page)
        if blocks and seen.stage == "test":
            save(packed(grid(blocks[: self.num_in_png], columns=2, gap=14)), Path(self.folder), self.name)


def cases(seen: Evaluation, rows: np.ndarray) -> list[Case]:
    """What is known about each of these rows."""
    confidence, actual = seen.confidence[rows], seen.prob_of(seen.labels)[rows]
    return [
        Case(
            picture=seen.pixels_at(int(seen.indices[row])),
            answers=(
                Answer("predicted", seen.class_names[seen.predicted[row]], float(confidence[k])),
                Answer("actual", seen.class_names[seen.labels[row]], float(actual[k])),
            ),
        )
        for k, row in enumerate(rows)
    ]
