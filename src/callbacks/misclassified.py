"""The most confident mistakes."""

import numpy as np

from src.callbacks.evaluation import Evaluation
from src.callbacks.mistakes import MistakesCallback, cases
from src.drawing.mistakes import captioned
from src.drawing.sheet import grid, packed


class Misclassified(MistakesCallback):
    """A 5x5 grid of mistakes, each with its actual / predicted class (confidence)."""

    name = "misclassified"

    def __init__(self, *, folder: str, every_n_epochs: int | None = 5, num_images: int = 25) -> None:
        super().__init__(folder=folder, every_n_epochs=every_n_epochs, num_images=num_images)

    def show_rows(self, seen: Evaluation, rows: np.ndarray) -> None:
        picture = packed(grid([captioned(case) for case in cases(seen, rows)], columns=5))
        seen.add_image(self.name, picture)
        self.leave(seen, picture, self.name)
