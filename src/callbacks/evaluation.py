"""One pass over the validation or test images, collected once, and the views that show it."""

import logging
from collections.abc import Callable, Mapping
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

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Evaluation(Predictions):
    """A pass that has ended: the predictions for every image, and where to write about them."""

    stage: str  # val or test
    net: nn.Module
    class_names: list[str]
    image_size: int
    inputs_at: Callable[[np.ndarray], Tensor]  # positions in the data -> normalized (n, 3, H, W)
    pixels_at: Callable[[int], np.ndarray]  # position in the data -> (H, W, 3) uint8
    step: int
    writers: list[SummaryWriter]
    show_picture: Callable[[str, Png], None]  # tag, picture -> wherever the run logs to
    log_number: Callable[[str, float], None]  # key, value -> the run's metrics

    def add_image(self, name: str, picture: Png) -> None:
        """Show a picture as `<stage>/<name>`."""
        self.show_picture(f"{self.stage}/{name}", picture)

    def add_text(self, name: str, markdown: str) -> None:
        for writer in self.writers:
            writer.add_text(f"{self.stage}/{name}", markdown, self.step)

    def add_number(self, name: str, value: float) -> None:
        """Log a metric as `<stage>/<name>`."""
        self.log_number(f"{self.stage}/{name}", value)


class View:
    """A picture, table or file made from an `Evaluation`, in the first process alone.

    Any function `(evaluation) -> None` is a view of the test. A class derives from this one to look at
    validations, too, or to check its options before training.
    """

    every_n_epochs: int | None = None  # look at the validation of every n-th epoch; None: at the test alone

    def check(self, net: nn.Module) -> None:
        """Refuse options that do not fit the network."""

    def __call__(self, seen: Evaluation) -> None:
        raise NotImplementedError


class EvaluationViews(L.Callback):
    """Collect the logits of a pass, gather them from all processes, and call each view.

    A view that fails is logged in one line and costs neither the result nor the other views. A file that
    cannot be written ends the run: the disk is full, or gone.

    Args:
        views: by name, such as `confusion`; called in this order.
    """

    def __init__(self, views: Mapping[str, Callable[[Evaluation], None]]) -> None:
        self.views = views
        self.outputs: list[dict[str, Tensor]] = []

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Check options now: a wrong one must not wait for the end of a training."""
        for view in self.views.values():
            if isinstance(view, View):
                view.check(pl_module.net)  # type: ignore[arg-type]

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any, **__: Any
    ) -> None:
        if self.due(trainer):
            self.outputs.append(outputs)

    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any, **__: Any
    ) -> None:
        self.outputs.append(outputs)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.finish(trainer, pl_module, "val", self.due(trainer))

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.finish(trainer, pl_module, "test", list(self.views))

    def due(self, trainer: L.Trainer) -> list[str]:
        """Names of the views that look at this epoch's validation."""
        if trainer.sanity_checking:
            return []
        every_n = {name: getattr(view, "every_n_epochs", None) for name, view in self.views.items()}
        return [name for name, n in every_n.items() if n is not None and (trainer.current_epoch + 1) % n == 0]

    def finish(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str, names: list[str]) -> None:
        """Bring the processes' parts together and let the named views show them."""
        if not self.outputs:
            return
        logits = torch.cat([output["logits"] for output in self.outputs])
        labels = torch.cat([output["labels"] for output in self.outputs])
        self.outputs = []
        parts = [(logits, labels)]
        if trainer.world_size > 1:
            parts = list(zip(gather_all_tensors(logits), gather_all_tensors(labels), strict=True))
        if trainer.is_global_zero:
            seen = evaluation(trainer, pl_module, stage, parts)
            for name in names:
                self.show(name, seen)

    def show(self, name: str, seen: Evaluation) -> None:
        try:
            self.views[name](seen)
        except OSError:
            raise
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            log.error("error: callbacks.%s shows nothing of this %s: %s", name, seen.stage, reason)
            log.debug("callbacks.%s", name, exc_info=True)


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
    return Evaluation(
        indices[order],
        torch.cat([labels.cpu() for _, labels in parts]).numpy()[order],
        torch.cat([logits.float().cpu() for logits, _ in parts]).numpy()[order],
        stage=stage,
        net=pl_module.net,  # type: ignore[arg-type]
        class_names=datamodule.source.class_names,
        image_size=datamodule.image_size,
        inputs_at=lambda at: datamodule.eval_inputs(stage, at),
        pixels_at=lambda index: data.images[index],
        step=board_step(trainer),
        writers=boards(trainer),
        show_picture=partial(add_picture, trainer),
        # sync_dist does nothing beside rank_zero_only, but keeps Lightning from recommending it
        log_number=lambda key, value: pl_module.log(key, value, rank_zero_only=True, sync_dist=True),
    )


def with_views(parts: Mapping[str, Any]) -> list[L.Callback]:
    """The callbacks among `parts`, and all views in one `EvaluationViews` where the first of them stood.

    Raises:
        ValueError: one is neither a callback nor a function.
    """
    views = {name: part for name, part in parts.items() if not isinstance(part, L.Callback)}
    for name, view in views.items():
        if not callable(view):
            raise ValueError(
                f"callbacks.{name} must be a Lightning callback or a function of an Evaluation: "
                f"got {type(view).__name__}."
            )
    first = next(iter(views), None)
    return [
        EvaluationViews(views) if name == first else part
        for name, part in parts.items()
        if name == first or name not in views
    ]
