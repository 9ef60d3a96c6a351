"""Learning rate schedules, and when they advance."""

import math
from collections.abc import Callable
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from src.optim.param_groups import lr_ratios


class Schedule:
    """A scheduler's factory with its contract; each YAML file in `conf/scheduler` is one.

    Args:
        factory: called as `factory(optimizer, **arguments)`.
        interval: the scheduler advances after every `step` (batch) or every `epoch`.
        horizon: name of the argument that receives the run's length in intervals, if it has one.
        monitor: metric that the scheduler reads when it advances, if it reads one.
        frequency: advances every so many intervals.
        rate: name of the argument that is a learning rate, if it has one: each group gets its own.
        arguments: everything else, handed to `factory`.
    """

    def __init__(
        self,
        *,
        factory: Callable[..., Any],
        interval: Literal["step", "epoch"],
        horizon: str | None = None,
        monitor: str | None = None,
        frequency: int = 1,
        rate: str | None = None,
        **arguments: Any,
    ) -> None:
        self.factory, self.interval, self.horizon = factory, interval, horizon
        self.monitor, self.frequency, self.rate, self.arguments = monitor, frequency, rate, arguments

    def bind(self, optimizer: Optimizer, *, total_steps: int, total_epochs: int) -> dict[str, Any]:
        """Lightning's `lr_scheduler` dictionary for a run of this length."""
        length = total_steps if self.interval == "step" else total_epochs
        filled: dict[str, Any] = {self.horizon: length} if self.horizon else {}
        if self.rate:
            filled[self.rate] = [self.arguments[self.rate] * ratio for ratio in lr_ratios(optimizer)]
        contract: dict[str, Any] = {
            "scheduler": self.factory(optimizer, **self.arguments | filled),
            "interval": self.interval,
            "frequency": self.frequency,
        }
        return contract | ({"monitor": self.monitor} if self.monitor else {})


def cosine_multiplier(step: int, *, total_steps: int, warmup_steps: int) -> float:
    """Linear from 0 to 1 in `warmup_steps`, then half a cosine to 0 (Loshchilov & Hutter 2017)."""
    if step < warmup_steps:
        return step / warmup_steps
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def cosine_with_warmup(optimizer: Optimizer, *, total_steps: int, warmup: float) -> LambdaLR:
    """`cosine_multiplier` on every group's lr; `warmup` is a fraction of `total_steps`."""
    warmup_steps = round(warmup * total_steps)

    def multiplier(step: int) -> float:
        return cosine_multiplier(step, total_steps=total_steps, warmup_steps=warmup_steps)

    return LambdaLR(optimizer, multiplier)


def linear_multiplier(step: int, *, total_steps: int, warmup_steps: int, end: float) -> float:
    """Linear up to 1 at step `warmup_steps`, then linear down to `end` at `total_steps`.

    The first step has 1 / (warmup_steps + 1): at 0 it would be lost.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 1 + (end - 1) * min(1.0, progress)


def linear_with_warmup(optimizer: Optimizer, *, total_steps: int, warmup: float, end: float) -> LambdaLR:
    """`linear_multiplier` on every group's lr; `warmup` is a fraction of `total_steps`, `end` of the lr."""
    warmup_steps = round(warmup * total_steps)

    def multiplier(step: int) -> float:
        return linear_multiplier(step, total_steps=total_steps, warmup_steps=warmup_steps, end=end)

    return LambdaLR(optimizer, multiplier)
