"""What is watched while a few batches train: seconds of each, and the peak of memory."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch

SECONDS = 6.0  # of timed training batches, after the warm-up
WARM_UP = 2  # batches that are not timed: kernels are chosen, workers and memory come up
LEAST = 5  # batches in all, for the memory of the first ones is not that of the later ones
_LONGEST = 30.0  # seconds that the least number may take
_MOST = 100  # timed batches


class StepTimer(L.Callback):
    """Seconds from one training batch's end to the next one's, loading included; stop when they are enough.

    Args:
        accumulate: batches an optimizer step.
        compiled: the first batch compiles the network and tells nothing of the others.
    """

    def __init__(self, *, accumulate: int = 1, compiled: bool = False) -> None:
        self.accumulate, self.compiled = accumulate, compiled
        self.seconds: list[float] = []
        self.evaluated: list[float] = []
        self.images = 0  # of all training batches
        self.first_end = self.last = 0.0

    def lap(self, pl_module: L.LightningModule) -> float:
        """Seconds since the last lap, when the device has done what it was told."""
        if pl_module.device.type != "cpu":
            torch.accelerator.synchronize(pl_module.device)
        before, self.last = self.last, time.perf_counter()
        return self.last - before

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.lap(pl_module)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.images += len(batch[1])
        self.seconds.append(self.lap(pl_module))
        self.first_end = self.first_end or self.last
        if self.enough(self.last - self.first_end):
            trainer.should_stop = True

    def enough(self, passed: float) -> bool:
        """Whether to stop, so many seconds after the first batch."""
        if len(self.seconds) == 1 and self.compiled:
            return False
        if len(self.seconds) < LEAST:
            return sum(self.seconds) > _LONGEST
        return passed > SECONDS or len(self.seconds) >= WARM_UP + _MOST

    def timed(self) -> tuple[list[float], bool]:
        """The batches that count, and whether they were warm; means over optimizer steps that were whole.

        A step's last batch costs more than its others where gradients accumulate.
        """
        cold = min(WARM_UP, len(self.seconds) - 1)
        return step_means(self.seconds[cold:], self.accumulate), cold > 0

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.lap(pl_module)

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.lap(pl_module)

    def on_validation_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self.evaluated.append(self.lap(pl_module))

    def on_test_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self.evaluated.append(self.lap(pl_module))


def step_means(seconds: Sequence[float], accumulate: int) -> list[float]:
    """Mean seconds a batch of each `accumulate` batches in a row; of all where there are fewer."""
    size = min(accumulate, len(seconds))
    return [sum(seconds[at : at + size]) / size for at in range(0, len(seconds) - size + 1, size)]


@dataclass
class PeakMemory:
    """Bytes; None where the system does not tell.

    On CUDA `added` is torch's own highest allocation and `whole` what its allocator reserved for that. On
    other devices both are the process's resident memory, loading workers not included: `whole` at its peak,
    `added` what that is above where the block began. Pages that libraries load count, too: tens of MiB.
    """

    added: int | None = None
    whole: int | None = None
    batches: int = 0  # of training that were seen: a CPU's memory grows over the first few
    kind: str = "the whole process at its peak, without loading workers:"


@contextmanager
def peak_memory(device: torch.device) -> Iterator[PeakMemory]:
    """Measure the block; the numbers are there after it."""
    found = PeakMemory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield found
        found.added = torch.cuda.max_memory_allocated(device)
        found.whole = torch.cuda.max_memory_reserved(device)
        found.kind = "reserved on the GPU for that:"
        return
    with suppress(OSError):  # Linux: let the high-water mark begin where the process stands
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _peak_resident()  # where that cannot be, the highest so far: `added` is a lower bound
    yield found
    found.whole = _peak_resident()
    if before is not None and found.whole is not None:
        found.added = found.whole - before


def _peak_resident() -> int | None:
    """The process's highest resident memory, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
