"""Whether the network's confidences can be believed."""

from pathlib import Path

import lightning as L
import numpy as np
import torch

from src.callbacks.evaluation import Evaluation, EvaluationCallback
from src.drawing.charts import as_image, reliability_figure
from src.drawing.sheet import packed, save
from src.metrics.errors import reliability


class Calibration(EvaluationCallback):
    """At the test: `test/ece`, the reliability diagram, and a precision-recall curve for each class.

    Args:
        folder: where the diagram is left as a PNG file.
    """

    def __init__(self, *, folder: str) -> None:
        super().__init__()
        self.folder = Path(folder)

    def show(self, seen: Evaluation, pl_module: L.LightningModule) -> None:
        found = reliability(seen.predictions)
        pl_module.log("test/ece", found.ece, rank_zero_only=True, sync_dist=True)  # or Lightning warns
        picture = packed(as_image(reliability_figure(found)))
        seen.add_image("reliability", picture)
        save(picture, self.folder, "reliability")
        probs = torch.from_numpy(np.nan_to_num(seen.predictions.probs))
        labels = torch.from_numpy(seen.predictions.labels)
        for k, name in enumerate(seen.class_names):
            for writer in seen.writers:
                writer.add_pr_curve(f"test_pr/{name}", labels == k, probs[:, k], seen.step)
