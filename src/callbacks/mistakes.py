"""What the callbacks share that show single mistakes."""

from pathlib import Path

import lightning as L
import numpy as np
from PIL import Image

from src.callbacks.evaluation import Evaluation, EvaluationCallback
from src.drawing.mistakes import Answer, Case
from src.drawing.sheet import FAINT, Png, grid, packed, save, text

PAGE = 5  # mistakes on a page in TensorBoard


class MistakesCallback(EvaluationCallback):
    """What the callbacks here share: up to `num_images` mistakes, the most confident first.

    Args:
        folder: where the test's pictures are left as PNG files.
        every_n_epochs: also show the validation of every n-th epoch; None: the test alone.
        num_images: mistakes shown.
    """

    name: str
    paged = False  # while training, only the first page is shown

    def __init__(self, *, folder: str, every_n_epochs: int | None, num_images: int) -> None:
        super().__init__(every_n_epochs=every_n_epochs)
        self.folder, self.num_images = Path(folder), num_images

    def show(self, seen: Evaluation, pl_module: L.LightningModule) -> None:
        rows = seen.predictions.most_confident_mistakes(self.num_images)
        if self.paged and seen.stage == "val":
            rows = rows[:PAGE]  # sheets of maps are large, and training has many of them
        if len(rows):
            self.show_rows(seen, rows)
        else:
            count = len(seen.predictions)
            words = text([(f"no mistakes among {count} images", FAINT)], 690)
            seen.add_image(self.name, packed(words))

    def show_rows(self, seen: Evaluation, rows: np.ndarray) -> None:
        raise NotImplementedError

    def leave(self, seen: Evaluation, picture: Png, name: str) -> None:
        """Keep a test's picture for a slide."""
        if seen.stage == "test":
            save(picture, self.folder, name)


def cases(seen: Evaluation, rows: np.ndarray) -> list[Case]:
    """What is known about each of these rows."""
    said = seen.predictions
    confidence, actual = said.confidence[rows], said.prob_of(said.labels)[rows]
    return [
        Case(
            picture=seen.pixels_at(int(said.indices[row])),
            answers=(
                Answer("predicted", seen.class_names[said.predicted[row]], float(confidence[k])),
                Answer("actual", seen.class_names[said.labels[row]], float(actual[k])),
            ),
        )
        for k, row in enumerate(rows)
    ]


def show_pages(
    callback: MistakesCallback, seen: Evaluation, blocks: list[Image.Image], num_in_png: int
) -> None:
    """Pages of five in TensorBoard, as `grad_cam/1` …, and the first ones in two columns as a PNG file."""
    for start in range(0, len(blocks), PAGE):
        page = packed(grid(blocks[start : start + PAGE], columns=1, gap=14))
        seen.add_image(f"{callback.name}/{start // PAGE + 1}", page)
    if seen.stage == "test":
        save(packed(grid(blocks[:num_in_png], columns=2, gap=14)), callback.folder, callback.name)
