"""Signals that ask this process to end: at once, or after the step that is being trained."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

# Ctrl-C; kill, and a cluster that wants its machine back; what a cluster can be told to send before
NAMES = [name for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]


class Terminated(BaseException):
    """A signal other than Ctrl-C's has ended this process."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Held:
    """Whether a signal has come, and which: the last."""

    number: int | None = None


def listen() -> None:
    """Answer signals where the program stands, as Python answers Ctrl-C."""
    for name in NAMES:
        if name != "SIGINT":
            signal.signal(getattr(signal, name), end)


def end(number: int, _: FrameType | None = None) -> NoReturn:
    """End what is being done.

    Raises:
        KeyboardInterrupt: SIGINT.
        Terminated: another signal.
    """
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated(number)


@contextmanager
def held() -> Iterator[Held]:
    """Until the block ends, a signal is only noted; the second is answered at once."""
    seen = Held()

    def note(number: int, _: FrameType | None) -> None:
        if seen.number is not None:
            end(number)
        seen.number = number

    if threading.current_thread() is not threading.main_thread():
        yield seen  # only the main thread may set handlers, and it is the one that is interrupted
        return
    before = {name: signal.signal(getattr(signal, name), note) for name in NAMES}
    try:
        yield seen
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
