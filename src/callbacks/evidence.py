"""Where each bit of a logit came from when the network was wrong: exact evidence maps."""

import logging

import numpy as np

from src.attribution.evidence import evidence
from src.callbacks.evaluation import Evaluation
from src.callbacks.mistakes import MistakesCallback, cases, show_pages
from src.drawing.mistakes import evidence_block

log = logging.getLogger(__name__)


class Evidence(MistakesCallback):
    """Exact evidence maps of mistakes: for the predicted class, for the actual one, and the difference.

    Only for networks that end in global average pooling and a linear layer; others are told so once.

    Args:
        num_in_png: mistakes in `evidence.png`.
    """

    name = "evidence"
    paged = True

    def __init__(
        self,
        *,
        folder: str,
        every_n_epochs: int | None = 5,
        num_images: int = 25,
        num_in_png: int = 6,
    ) -> None:
        super().__init__(folder=folder, every_n_epochs=every_n_epochs, num_images=num_images)
        self.num_in_png, self.told = num_in_png, False

    def show_rows(self, seen: Evaluation, rows: np.ndarray) -> None:
        said = seen.predictions
        try:
            maps = evidence(seen.net, seen.inputs_at(said.indices[rows])).maps.float().cpu()
        except ValueError as error:
            if not self.told:
                log.info("%s", error)
            self.told = True
            return
        blocks = []
        for row, case in enumerate(cases(seen, rows)):
            both = maps[row, [int(said.predicted[rows[row]]), int(said.labels[rows[row]])]]
            blocks.append(evidence_block(case, both))
        show_pages(self, seen, blocks, self.num_in_png)
