"""Where each bit of a logit came from when the network was wrong: exact evidence maps."""

import logging
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from src.attribution.evidence import evidence
from src.callbacks.evaluation import Evaluation
from src.callbacks.misclassified import PagedMistakes, cases
from src.drawing.mistakes import evidence_block

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Evidence(PagedMistakes):
    """Exact evidence maps of mistakes: for the predicted class, for the actual one, and the difference.

    Only for networks that end in global average pooling and a linear layer; for others, one line says so.
    """

    name = "evidence"

    warned: bool = field(default=False, init=False)

    def blocks(self, seen: Evaluation, rows: np.ndarray) -> list[Image.Image]:
        try:
            maps = evidence(seen.net, seen.inputs_at(seen.indices[rows])).maps.float().cpu()
        except ValueError as error:
            if not self.warned:
                log.info("%s", error)
            self.warned = True
            return []
        answers = zip(seen.predicted[rows].tolist(), seen.labels[rows].tolist(), strict=True)
        return [
            evidence_block(case, maps[row, list(both)])
            for row, (case, both) in enumerate(zip(cases(seen, rows), answers, strict=True))
        ]
