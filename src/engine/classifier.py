"""The LightningModule: given a built network, it trains, validates and tests it.

Shapes: B batch, C channels, H height, W width, K classes.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from src.engine.stage_metrics import ImageMean, StageMetrics
from src.engine.weights import module_of
from src.lightning_private import in_epoch, step_plateau_schedules
from src.models.cost import evaluating
from src.optim.param_groups import Factors, l1_norm, make_optimizer
from src.optim.schedule import Schedule
from src.optim.selection import Selection

_FIT_IMAGES = 5000  # that a network's frozen parts are computed from

Batch = tuple[Tensor, Tensor]  # images BCHW float32, labels B int64


@runtime_checkable
class _FitsToImages(Protocol):
    """A network with parts that are computed from training images instead of trained."""

    def fit_to(self, images: Tensor) -> None: ...


class Classifier(L.LightningModule):
    """One network with its loss, optimizer and schedule.

    `train/loss` is what is minimized, with label smoothing and penalty; `val/loss` and `test/loss`
    are plain cross-entropy, so that runs with different losses compare.

    Args:
        net: BCHW -> logits (B, K).
        optimizer: called with parameter groups.
        schedule: moves the optimizer's learning rate.
        loss: (logits, labels) -> scalar.
        l1: strength of an L1 penalty on all parameters.
        decay_norm_and_bias: False keeps weight decay off parameters with fewer than two axes.
        lr_factors: learning rate of `head`, `scale` and `bias` parameters, in units of the optimizer's.
        decay_factors: the same of the weight decay.
        channels_last: keep network and images in channels_last memory.
        compile: compile the network with torch.compile.
        resize: (images, share of training done) -> the images that a step trains on; None: as they are.
        select: (network, images, labels) -> those that a step learns from; None: all.
        tta: (network, images, logits) -> mean logits over several views, reported as `test/acc_tta`; None:
            the plain accuracy alone.

    Attributes:
        passes: image passes of training so far by image size in pixels, in units of one forward pass: an
            image that is learned from counts three, since the backward pass costs twice the forward pass.
    """

    def __init__(
        self,
        *,
        net: nn.Module,
        optimizer: Callable[[Any], Optimizer],
        schedule: Schedule,
        loss: nn.Module,
        l1: float = 0.0,
        decay_norm_and_bias: bool = True,
        lr_factors: Factors | None = None,
        decay_factors: Factors | None = None,
        channels_last: bool = True,
        compile: bool = False,
        resize: Callable[[Tensor, float], Tensor] | None = None,
        select: Selection | None = None,
        tta: Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.net = net.to(memory_format=self.memory_format)
        if compile:
            self.net.compile()  # in place: names in checkpoints stay, and hooks can use net.forward
        self.optimizer, self.schedule, self.loss = optimizer, schedule, loss
        self.l1, self.decay_norm_and_bias = l1, decay_norm_and_bias
        self.resize, self.select, self.tta = resize or None, select or None, tta or None  # {} is none
        self.lr_factors, self.decay_factors = lr_factors, decay_factors
        self.train_metrics, self.val_metrics, self.test_metrics = (StageMetrics() for _ in range(3))
        self.batch_loss = torch.tensor(0.0)
        self.tta_acc = ImageMean()
        self.plateau_stepped = False
        self.total_steps = 0  # known when the optimizer is made
        self.passes: Counter[int] = Counter()
        self.resume_state: dict[str, Tensor] = {}  # from a checkpoint, until training continues

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path) -> "Classifier":  # type: ignore[override]
        """A run's Classifier with its weights; Lightning's own method would ask for its network and loss.

        Raises:
            ConfigError: the checkpoint would call what no file in `conf/` does.
            ValueError: it is damaged, or does not say what it was made of.
        """
        return cast(Classifier, module_of(Path(checkpoint_path)))

    def setup(self, stage: str) -> None:
        """Show a network that wants it some training images; a checkpoint's weights come later and win."""
        if stage == "fit" and isinstance(self.net, _FitsToImages):
            self.net.fit_to(self.trainer.datamodule.train_inputs(_FIT_IMAGES))  # type: ignore[attr-defined]

    def forward(self, images: Tensor) -> Tensor:
        """BCHW -> logits (B, K)."""
        logits: Tensor = self.net(images.to(memory_format=self.memory_format))
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels = self.training_batch(*batch)
        logits = self(images)
        loss: Tensor = self.loss(logits, labels)
        if self.l1:
            loss = loss + self.l1 * l1_norm(self.net.parameters())
        self.batch_loss = loss.detach()
        self.measure("train", self.train_metrics, self.batch_loss, logits.detach(), labels)
        return loss

    def training_batch(self, images: Tensor, labels: Tensor) -> Batch:
        """What a step learns from, of a batch: at this time's size, and those that are selected."""
        if self.resize:
            images = self.resize(images, self.global_step / max(1, self.total_steps))
        kept = images, labels
        if self.select:
            with torch.no_grad(), evaluating(self.net):
                kept = self.select(self, images, labels)
            self.passes[images.shape[-1]] += len(images)
        self.passes[images.shape[-1]] += 3 * len(kept[0])
        return kept

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        images, labels = batch
        logits = self(images)
        self.measure("val", self.val_metrics, F.cross_entropy(logits, labels), logits, labels)
        return {"logits": logits, "labels": labels}  # for the callbacks

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        images, labels = batch
        logits = self(images)
        self.measure("test", self.test_metrics, F.cross_entropy(logits, labels), logits, labels)
        if self.tta:
            self.tta_acc.update((self.tta(self, images, logits).argmax(1) == labels).sum(), len(labels))
            self.log("test/acc_tta", self.tta_acc, on_step=False, on_epoch=True)
        return {"logits": logits, "labels": labels}

    def measure(
        self, stage: str, metrics: StageMetrics, loss: Tensor, logits: Tensor, labels: Tensor
    ) -> None:
        """Add a batch to the epoch's `<stage>/loss` and `<stage>/acc`."""
        is_first = metrics.is_empty
        metrics.update(loss, logits, labels)
        if not is_first:  # Lightning knows them, and will compute and reset them when the epoch ends
            return
        # The Recorder writes training's curves, before the checkpoint; None: where there is a logger
        logger = False if stage == "train" else None
        self.log(f"{stage}/loss", metrics.loss, on_step=False, on_epoch=True, logger=logger)
        self.log(f"{stage}/acc", metrics.acc, on_step=False, on_epoch=True, logger=logger)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log the batch's loss where Lightning writes to the loggers: `self.log` costs as much each time."""
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if self.trainer.global_step % every == 0 or self.trainer.should_stop:
            self.log("train/loss_step", self.batch_loss, on_step=True, on_epoch=False)

    def on_train_epoch_end(self) -> None:
        """Let a schedule that reads a metric look at the epoch now.

        Lightning would do it after the checkpoint, and a resumed run would miss it.
        """
        step_plateau_schedules(self.trainer)
        self.plateau_stepped = True

    def on_train_epoch_start(self) -> None:
        self.plateau_stepped = False

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Advance the schedule, unless it has looked at this epoch already."""
        if not self.plateau_stepped:
            super().lr_scheduler_step(scheduler, metric)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what training continues from: random numbers, and in an epoch its sums over all processes."""
        checkpoint["passes"] = dict(self.passes)
        if in_epoch(self.trainer):
            sums = self.train_metrics.sums.clone()
            checkpoint["sums"] = self.trainer.strategy.reduce(sums, reduce_op="sum").cpu()
        checkpoint["random"] = torch.get_rng_state()
        if self.device.type == "cuda":
            checkpoint["random_cuda"] = torch.cuda.get_rng_state(self.device)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.passes = Counter(checkpoint.get("passes", {}))
        self.resume_state = {
            key: checkpoint[key] for key in ("sums", "random", "random_cuda") if key in checkpoint
        }

    def on_train_start(self) -> None:
        """Continue in the state that random numbers and an epoch's sums were in."""
        if "sums" in self.resume_state and self.trainer.is_global_zero:  # the others have nothing to add
            self.train_metrics.sums = self.resume_state["sums"].to(self.device)
        if "random" in self.resume_state:
            torch.set_rng_state(self.resume_state["random"].cpu())
        if "random_cuda" in self.resume_state and self.device.type == "cuda":
            torch.cuda.set_rng_state(self.resume_state["random_cuda"].cpu(), self.device)
        self.resume_state = {}

    def make_optimizer(self) -> Optimizer:
        """The optimizer of the network's parameters, each with its learning rate and weight decay."""
        return make_optimizer(
            self.optimizer,
            self.net,
            decay_norm_and_bias=self.decay_norm_and_bias,
            lr_factors=self.lr_factors,
            decay_factors=self.decay_factors,
        )

    def configure_optimizers(self) -> Any:
        """Optimizer and schedule for the length of this run."""
        optimizer = self.make_optimizer()
        self.total_steps = int(self.trainer.estimated_stepping_batches)
        contract = self.schedule.bind(
            optimizer, total_steps=self.total_steps, total_epochs=self.trainer.max_epochs or 1
        )
        return {"optimizer": optimizer, "lr_scheduler": contract}
