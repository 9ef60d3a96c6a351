"""The order of a run's callbacks: whoever needs another one's work stands after it."""

from collections.abc import Iterable

import lightning as L

from src.callbacks.average import WeightAverage
from src.callbacks.hparams import HparamsTab
from src.callbacks.recorder import Recorder
from src.callbacks.update_monitor import UpdateMonitor

FIRST = (
    Recorder,  # logs the epoch's speed, which EpochLine prints
    HparamsTab,  # writes the test's results, which the Recorder has by then
    UpdateMonitor,  # measures the step, on which Guards comments
)
# Those before it see training's weights after a step, and the average throughout a validation
_LAST = (WeightAverage,)


def in_order(callbacks: Iterable[L.Callback]) -> list[L.Callback]:
    """`FIRST`, then the others as they come, then `_LAST`; Lightning itself puts checkpoints after these."""
    return sorted(callbacks, key=place)


def place(callback: L.Callback) -> int:
    for number, kind in enumerate(FIRST):
        if isinstance(callback, kind):
            return number
    return len(FIRST) + isinstance(callback, _LAST)
