"""A schedule's curves without training."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch.optim import Optimizer

from src.optim.schedule import Schedule


class Curves(NamedTuple):
    """What each step trains with: (steps,) learning rate, and momentum or beta1 (NaN without either)."""

    lr: np.ndarray
    momentum: np.ndarray


def simulate(optimizer: Optimizer, schedule: Schedule, *, steps_per_epoch: int, epochs: int) -> Curves:
    """Run a schedule over steps that change no weight.

    A schedule that waits for a metric sees one that never improves.
    """
    contract = schedule.bind(optimizer, total_steps=steps_per_epoch * epochs, total_epochs=epochs)
    lrs, momenta = [], []
    for _ in range(epochs):
        for _ in range(steps_per_epoch):
            group = optimizer.param_groups[0]
            lrs.append(float(group["lr"]))
            momenta.append(momentum_of(group))
            optimizer.step()
            if contract["interval"] == "step":
                advance(contract)
        if contract["interval"] == "epoch":
            advance(contract)
    return Curves(np.array(lrs), np.array(momenta))


def advance(contract: dict[str, Any]) -> None:
    """One interval later; a metric stays what it was."""
    scheduler = contract["scheduler"]
    scheduler.step(*([0.0] if "monitor" in contract else []))


def momentum_of(group: dict[str, Any]) -> float:
    """A parameter group's momentum, or its first beta; NaN where it has neither."""
    return float(group.get("momentum", group.get("betas", (float("nan"),))[0]))


def a_weight() -> list[torch.nn.Parameter]:
    """One kernel of one weight for an optimizer that is to have something to hold."""
    return [torch.nn.Parameter(torch.zeros(1, 1, 1, 1))]
