"""The learning rate range test (Smith 2017, arXiv:1506.01186): raise the rate step by step, watch the loss.

It leaves no trace: weights, statistics, optimizer and random numbers are afterwards what they were.
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch
from scipy.ndimage import median_filter
from torch import Tensor, nn
from torch.optim import Optimizer

from src.optim.param_groups import lr_ratios

TINY = 1e-300  # stands for a loss of 0, which has no logarithm
_FALL = 1e-3  # of the log loss: less is rounding, not learning
_CERTAIN = 4.0  # standard errors

Batch = TypeVar("Batch")


class Suggestion(NamedTuple):
    """Two learning rates, and the steps at which the sweep used them."""

    steepest: float
    minimum: float
    steepest_step: int
    minimum_step: int


def learning_rates(
    low: float, high: float, steps: int, mode: Literal["exponential", "linear"] = "exponential"
) -> np.ndarray:
    """`steps` rates from `low` to `high`, evenly spaced on a logarithmic or a linear axis."""
    return np.geomspace(low, high, steps) if mode == "exponential" else np.linspace(low, high, steps)


def decay(steps: int, smoothing: float) -> float:
    """The weight that a loss keeps from one step to the next where it counts for `smoothing` of a sweep."""
    return math.exp(-1 / (smoothing * steps))


def range_test(
    loss_of: Callable[[Batch], Tensor],
    net: nn.Module,
    optimizer: Optimizer,
    batches: Iterable[Batch],
    lrs: Sequence[float] | np.ndarray,
    *,
    smoothing: float = 0.05,
    stop: float = 4.0,
    accumulate: int = 1,
    clip: Callable[[], object] = lambda: None,
    look: Callable[[], float] | None = None,
) -> np.ndarray:
    """One step at each of `lrs` in train mode, until the loss blows up; then everything as it was.

    Groups keep the ratio of their rates: at `lr`, a group steps with `lr * group["lr"] / defaults["lr"]`.

    Args:
        loss_of: batch -> scalar loss with a graph.
        net: what `optimizer` moves.
        optimizer: any of torch's shape; no scheduler is attached.
        batches: at least `accumulate` for each step; the sweep ends early where they do.
        lrs: rising learning rates.
        smoothing: share of the sweep over which losses are averaged (see `smoothed`).
        stop: end where the running average of the loss exceeds its lowest value times this.
        accumulate: batches a step; their losses are averaged.
        clip: called between gradients and step.
        look: another loss of `net` before the step, such as a validation loss; None: the batches' own.

    Returns:
        The loss before each step, (n,) float64, n <= len(lrs). One that is not finite ends the sweep
        and is left out.
    """
    losses: list[float] = []
    beta, average, weight, lowest = decay(len(lrs), smoothing), 0.0, 0.0, math.inf
    with unchanged(net, optimizer), torch.enable_grad():
        net.train()
        stream = iter(batches)
        ratios = lr_ratios(optimizer)
        for lr in lrs:
            for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
                group["lr"] = float(lr) * ratio
            optimizer.zero_grad()
            total = 0.0
            for _ in range(accumulate):
                if (batch := next(stream, None)) is None:
                    return np.array(losses)
                loss = loss_of(batch) / accumulate
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.item()
            if look:
                total = look()
            if not math.isfinite(total):
                break
            losses.append(total)
            # The average that `smoothed` finds for the last of these losses
            average, weight = beta * average + math.log(max(total, TINY)), beta * weight + 1
            lowest = min(lowest, average / weight)
            if average / weight > lowest + math.log(stop):
                break
            clip()
            optimizer.step()
    return np.array(losses)


def smoothed(losses: np.ndarray, beta: float) -> np.ndarray:
    """Geometric means of losses (n,), weighted with `beta ** |distance in steps|` -> (n,).

    It is the bias-corrected exponential moving average of the log loss, running both ways: one that
    runs forward only lags behind by `1 / (1 - beta)` steps, in which the rate doubles or more.
    """
    steps = np.arange(len(losses))
    weights = beta ** np.abs(steps[:, None] - steps)
    means: np.ndarray = np.exp(weights @ np.log(np.maximum(losses, TINY)) / weights.sum(axis=1))
    return means


def suggest(lrs: np.ndarray, losses: np.ndarray, *, steps: int, smoothing: float = 0.05) -> Suggestion | None:
    """The rate that led to the lowest loss, and where the loss falls fastest from step to step.

    Lowest: of the running median, which a chance low does not move, and which, unlike an average, keeps
    nothing of the high losses before a deep fall. On the quadratic `a w^2 / 2` a step multiplies the
    loss by `(1 - lr a)^2`: least at the best rate `1 / a`, 1 at `2 / a`, where plain descent starts to
    diverge. The median is lowest between the two, for sweeps of any length.

    Fastest: of the smoothed log loss, which at `1 / a` falls most. In networks whose loss falls over a
    wide range of rates that place moves with the length of the sweep, and may lie far too low.

    Left out: the first `smoothing` of the sweep, which few losses average; for the fastest fall all behind
    the smoothed minimum, where a network that diverges falls back by chance.

    Args:
        lrs: rates of the sweep, at least as many as losses.
        losses: what `range_test` returned.
        steps: planned length of the sweep.
        smoothing: as for `range_test`; the median takes twice this share, as wide as the average.

    Returns:
        None where the loss never falls by more than its noise.
    """
    beta, first = decay(steps, smoothing), math.ceil(smoothing * steps)
    if len(losses) < first + 3:
        return None
    logs = np.log(np.maximum(losses, TINY))
    curve = np.log(np.maximum(smoothed(losses, beta), TINY))
    end = int(curve.argmin())
    # The median is blind to the few large differences of a fall; an average over n losses divides by sqrt(n)
    noise = float(np.median(np.abs(np.diff(logs)))) / math.sqrt(max(1.0, smoothing * steps))
    if end <= first or curve[0] - curve[end] <= max(_FALL, _CERTAIN * noise):
        return None
    steepest = first + int(np.gradient(curve)[first : end + 1].argmin())
    median = median_filter(logs, size=2 * first + 1, mode="nearest")
    minimum = max(first, int(median.argmin()) - 1)  # a loss is that before its step: the one before led to it
    return Suggestion(float(lrs[steepest]), float(lrs[minimum]), steepest, minimum)


@contextmanager
def unchanged(net: nn.Module, optimizer: Optimizer) -> Iterator[None]:
    """Put back, bit by bit, what training steps change: parameters, gradients, buffers, modes, the
    optimizer's state and groups, and the random numbers of torch, NumPy and Python.
    """
    tensors = [*net.parameters(), *net.buffers()]
    values = [tensor.detach().clone() for tensor in tensors]
    gradients = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    modes = [(module, module.training) for module in net.modules()]
    state = [(p, deepcopy(kept)) for p, kept in optimizer.state.items()]
    groups = [
        {key: value if key == "params" else deepcopy(value) for key, value in group.items()}
        for group in optimizer.param_groups
    ]
    # NumPy's legacy generator is the one that libraries share
    numbers = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, values, strict=True):
                tensor.copy_(value)
        for parameter, gradient in zip(net.parameters(), gradients, strict=True):
            parameter.grad = gradient
        for module, mode in modes:
            module.training = mode
        optimizer.state.clear()
        optimizer.state.update(state)
        for group, kept in zip(optimizer.param_groups, groups, strict=True):
            group.clear()
            group.update(kept)
        torch.set_rng_state(numbers[0])
        np.random.set_state(numbers[1])  # noqa: NPY002
        random.setstate(numbers[2])
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
