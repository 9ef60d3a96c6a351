"""What every callback shares that looks at a whole validation or test pass."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from torchmetrics.utilities.distributed import gather_all_tensors

from src.callbacks.board import add_picture, board_step, boards
from src.drawing.sheet import Png
from src.metrics.predictions import Predictions


@dataclass(frozen=True)
class Evaluation:
    """A pass that has ended: what the network said about every image, and where to write about it."""

    stage: str  # val or test
    net: nn.Module
    predictions: Predictions
    class_names: list[str]
    image_size: int
    inputs_at: Callable[[np.ndarray], Tensor]  # positions in the data -> normalized (n, 3, H, W)
    pixels_at: Callable[[int], np.ndarray]  # position in the data -> (H, W, 3) uint8
    step: int
    writers: list[SummaryWriter]
    show_picture: Callable[[str, Png], None]  # tag, picture -> wherever the run logs to

    def add_image(self, name: str, picture: Png) -> None:
        """Show a picture as `<stage>/<name>`."""
        self.show_picture(f"{self.stage}/{name}", picture)

    def add_text(self, name: str, markdown: str) -> None:
        for writer in self.writers:
            writer.add_text(f"{self.stage}/{name}", markdown, self.step)


class EvaluationCallback(L.Callback):
    """Collects the logits of a validation or test pass and calls `show` once, in the first process.

    Args:
        every_n_epochs: look at the validation of every n-th epoch; None: at the test alone.
    """

    def __init__(self, *, every_n_epochs: int | None = None) -> None:
        self.every_n_epochs = every_n_epochs
        self.outputs: list[dict[str, Tensor]] = []

    def show(self, seen: Evaluation, pl_module: L.LightningModule) -> None:
        """Write what this callback is for."""
        raise NotImplementedError

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any, **__: Any
    ) -> None:
        if self.is_due(trainer):
            self.outputs.append(outputs)

    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any, **__: Any
    ) -> None:
        self.outputs.append(outputs)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.is_due(trainer):
            self.finish(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.finish(trainer, pl_module, "test")

    def is_due(self, trainer: L.Trainer) -> bool:
        n = self.every_n_epochs
        return n is not None and not trainer.sanity_checking and (trainer.current_epoch + 1) % n == 0

    def finish(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Bring the processes' parts together and show them."""
        if not self.outputs:
            return
        logits = torch.cat([output["logits"] for output in self.outputs])
        labels = torch.cat([output["labels"] for output in self.outputs])
        self.outputs = []
        parts = [(logits, labels)]
        if trainer.world_size > 1:
            parts = list(zip(gather_all_tensors(logits), gather_all_tensors(labels), strict=True))
        if trainer.is_global_zero:
            self.show(evaluation(trainer, pl_module, stage, parts), pl_module)


def evaluation(
    trainer: L.Trainer, pl_module: L.LightningModule, stage: str, parts: list[tuple[Tensor, Tensor]]
) -> Evaluation:
    """Put together what `parts`, one (logits, labels) a process, say about the data of `stage`."""
    datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
    data, positions = datamodule.eval_data(stage)
    world_size = len(parts)
    # Each process has every world_size-th image: interleaved again, they are in the order of the data
    indices = np.concatenate([positions[r::world_size][: len(labels)] for r, (_, labels) in enumerate(parts)])
    order = np.argsort(indices, kind="stable")
    logits = torch.cat([logits.float().cpu() for logits, _ in parts]).numpy()[order]
    labels = torch.cat([labels.cpu() for _, labels in parts]).numpy()[order]
    return Evaluation(
        stage=stage,
        net=pl_module.net,  # type: ignore[arg-type]
        predictions=Predictions(indices[order], labels, logits),
        class_names=datamodule.source.class_names,
        image_size=datamodule.image_size,
        inputs_at=lambda at: datamodule.eval_inputs(stage, at),
        pixels_at=lambda index: data.images[index],
        step=board_step(trainer),
        writers=boards(trainer),
        show_picture=partial(add_picture, trainer),
    )
