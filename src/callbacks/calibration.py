"""Whether the network's confidences can be believed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from src.callbacks.evaluation import Evaluation, View
from src.drawing.charts import as_image, reliability_figure
from src.drawing.sheet import packed, save
from src.metrics.errors import reliability


@dataclass(kw_only=True)
class Calibration(View):
    """At the test: `test/ece`, the reliability diagram, and a precision-recall curve for each class.

    Args:
        folder: where the diagram is written as a PNG file.
    """

    folder: str

    def __call__(self, seen: Evaluation) -> None:
        found = reliability(seen)
        seen.add_number("ece", found.ece)
        picture = packed(as_image(reliability_figure(found)))
        seen.add_image("reliability", picture)
        save(picture, Path(self.folder), "reliability")
        probs = torch.from_numpy(np.nan_to_num(seen.probs))
        labels = torch.from_numpy(seen.labels)
        for k, name in enumerate(seen.class_names):
            for writer in seen.writers:
                writer.add_pr_curve(f"test_pr/{name}", labels == k, probs[:, k], seen.step)
