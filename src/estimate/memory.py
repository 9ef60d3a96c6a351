"""Peak memory of what a block of code does."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch


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
    before = peak_resident()  # where that cannot be, the highest so far: `added` is a lower bound
    yield found
    found.whole = peak_resident()
    if before is not None and found.whole is not None:
        found.added = found.whole - before


def peak_resident() -> int | None:
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
