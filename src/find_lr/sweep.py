"""What the range test is told on the command line."""

from typing import Any, NamedTuple


class Sweep(NamedTuple):
    """The command's own settings."""

    low: float
    high: float
    steps: int
    mode: Any  # exponential or linear
    smoothing: float
    stop: float
    validate: int  # images
    skip_start: int  # steps
    skip_end: int
