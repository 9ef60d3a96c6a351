"""What a process asks of its machine, once, before anything is built."""

import ctypes
import platform

import torch

# Options of glibc's mallopt (malloc.h)
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
LARGEST = 2**31 - 1  # bytes; mallopt takes a C int
_PAD = 64 * 2**20  # bytes that the heap grows by at least
OWN_THREADS = torch.get_num_threads()  # what OMP_NUM_THREADS says, or all cores


def use(*, threads: int | None = None, keep_memory: bool = True, matmul_precision: str = "highest") -> None:
    """Set up this process.

    Args:
        threads: of torch's operators on the CPU; None: OMP_NUM_THREADS, else all cores.
        keep_memory: keep freed memory for the next step (`keep_freed_memory`); lasts as long as the process.
        matmul_precision: of float32 matrix products on a GPU: `highest`, `high` (TF32) or `medium` (bf16).
    """
    torch.set_num_threads(threads or OWN_THREADS)
    torch.set_float32_matmul_precision(matmul_precision)
    if keep_memory:
        keep_freed_memory()


def return_freed_memory() -> None:
    """Hand freed memory back to the system, where malloc is glibc's: what comes next may need other sizes."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def keep_freed_memory() -> bool:
    """Let malloc keep what is freed, instead of handing it back to the system and asking for it again.

    The activations of a step are tensors of many MiB. By default glibc maps each from the system and unmaps
    it at once when it is freed; the next step touches every page of it again, and the system fills it with
    zeros. The process then stays as large as it ever was.

    Returns:
        Whether this took effect; elsewhere than with glibc there is nothing to set.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    taken = [
        mallopt(option, value)
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, LARGEST), (M_TOP_PAD, _PAD))
    ]
    return all(taken)
