"""Averages of the weights over training: what is validated, tested and kept, instead of the last weights."""

from collections.abc import Iterable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

UNAVERAGED = "unaveraged"  # a checkpoint's key for what training continues from


class WeightAverage(L.Callback):
    """Every `every_n_steps` optimizer steps: average <- decay average + (1 - decay) weights.

    With `write_back` the weights continue from the average: Lookahead (Zhang et al. 2019, arXiv:1907.08610)
    with alpha = 1 - decay and k = every_n_steps. Without, it is an exponential moving average that
    training does not know of.

    Weights are all parameters and the statistics of norms. Validation, test and the `state_dict` of
    checkpoints have the average; the weights lie beside it as `unaveraged`, for a resumed run. Nothing
    here waits for the device.

    Lightning's own callback averages on the CPU what trains on a GPU, and tests the weights that are not
    averaged where the test follows the training.

    Args:
        decay: share of the average that stays.
        every_n_steps: optimizer steps from one update to the next.
        ramp: the n-th update (from 0) has at most the decay (1 + n) / (10 + n): a short run forgets the
            weights that it began with.
        write_back: training continues from the average.
    """

    def __init__(
        self, *, decay: float, every_n_steps: int, ramp: bool = False, write_back: bool = False
    ) -> None:
        self.decay, self.every_n_steps, self.ramp, self.write_back = decay, every_n_steps, ramp, write_back
        self.average: dict[str, Tensor] = {}
        self.seen = 0  # optimizer steps

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.average:
            self.average = copies(weights(pl_module))
        self.average = {name: tensor.to(pl_module.device) for name, tensor in self.average.items()}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.seen = trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        step = trainer.global_step
        if step == self.seen or step % self.every_n_steps:  # several batches may make one step
            return
        self.seen = step
        decay = decay_at(step // self.every_n_steps - 1, self.decay) if self.ramp else self.decay
        averages, current = list(self.average.values()), list(weights(pl_module).values())
        # As torch.optim.swa_utils does: there is no public function for many tensors at once
        torch._foreach_lerp_(averages, current, 1 - decay)
        if self.write_back:
            torch._foreach_copy_(current, averages)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        swap(self.average.values(), weights(pl_module).values() if self.average else ())

    on_validation_end = on_validation_start

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The module has the average from here on."""
        swap(self.average.values(), weights(pl_module).values())
        self.average = {}

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[UNAVERAGED] = {name: checkpoint["state_dict"][name] for name in self.average}
        checkpoint["state_dict"] = {**checkpoint["state_dict"], **self.average}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Continue; a checkpoint of a run that averaged nothing is where an average begins."""
        if trainer.state.fn == TrainerFn.FITTING and checkpoint.get(UNAVERAGED):
            self.average = copies(weights(pl_module))
            pl_module.load_state_dict(checkpoint["state_dict"] | checkpoint[UNAVERAGED])


def decay_at(update: int, decay: float) -> float:
    """min(decay, (1 + n) / (10 + n)) at the n-th update, from 0."""
    return min(decay, (1 + update) / (10 + update))


def weights(pl_module: L.LightningModule) -> dict[str, Tensor]:
    """What can be averaged, by its name in checkpoints; the tensors are the module's own."""
    return {name: t for name, t in pl_module.state_dict().items() if t.is_floating_point()}


def copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


@torch.no_grad()
def swap(ones: Iterable[Tensor], others: Iterable[Tensor]) -> None:
    """Exchange values, in place."""
    for one, other in zip(ones, others, strict=True):
        kept = one.clone()
        one.copy_(other)
        other.copy_(kept)
