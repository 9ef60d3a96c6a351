"""How fast training goes."""

import time
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Seconds and images of training alone: start it, stop it around validation."""

    images: int = 0
    seconds: float = 0.0
    _started: float | None = field(default=None, repr=False)

    def start(self) -> None:
        self._started = time.perf_counter()

    def stop(self) -> None:
        if self._started is not None:
            self.seconds += time.perf_counter() - self._started
            self._started = None

    @property
    def elapsed(self) -> float:
        """Seconds so far, also while it runs."""
        return self.seconds + (time.perf_counter() - self._started if self._started is not None else 0.0)

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds if self.seconds > 0 else 0.0
