"""`trainer.precision=auto`: bfloat16 where this machine is faster with it, else float32.

A command decides once, before its first run, and passes the answer to all of its runs as `auto_precision`:
the runs of a sweep are compared with one another, so they share a precision, on whatever machines they run.
torch is imported inside functions: most commands never get here.
"""

import hashlib
import json
import os
import platform
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from src.config.checked_json import dump_checked, load_checked
from src.files import write_text

FULL, HALF = "32-true", "bf16-mixed"
_WORTH_IT = 1.3  # on a CPU, times as fast as float32; below that the rounding is not worth it
_SLOW = 2.0  # times as slow as the other: worth a warning
SECONDS = 1.0  # of timing, after one warm-up of each; where bfloat16 is emulated a round takes some 0.2 s


class Timing(NamedTuple):
    """Milliseconds of a step of one small convolution, on one thread of this processor."""

    float32: float
    bfloat16: float

    @property
    def gain(self) -> float:
        """How many times as fast bfloat16 is."""
        return self.float32 / self.bfloat16


def precision_override(configs: Iterable[DictConfig]) -> list[str]:
    """Settle the precision of the runs of one command; what they need to find the same, as an override.

    Empty where no run asks for `auto`.
    """
    asking = [cfg for cfg in configs if settle_precision(cfg)]
    return [f"auto_precision={asking[0].auto_precision}"] if asking else []


def settle_precision(cfg: DictConfig) -> bool:
    """Put a precision in the place of `trainer.precision=auto`; False: another value is there, and stays."""
    if str(cfg.trainer.precision) != "auto":
        return False
    cfg.auto_precision = cfg.auto_precision or fastest(cfg.trainer.accelerator, cfg.paths.cache_dir)
    cfg.trainer.precision = cfg.auto_precision
    return True


def fastest(accelerator: str, cache_dir: str) -> str:
    """The precision for a device: on CUDA by compute capability (8.0: Ampere), on a CPU by `timing`."""
    import torch

    device = _device_type(accelerator)
    if device == "cuda":
        return HALF if torch.cuda.get_device_capability() >= (8, 0) else FULL
    return HALF if device == "cpu" and timing(cache_dir).gain >= _WORTH_IT else FULL


def _device_type(accelerator: str) -> str:
    """What Lightning would take: cuda, mps or cpu."""
    import torch

    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "cuda"
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def slow_choice(cfg: DictConfig, overrides: Iterable[str]) -> str | None:
    """A line on a CPU's precision that was asked for and is more than twice as slow as the other.

    float32 is the default: it is asked for if it was typed.
    """
    precision = str(cfg.trainer.precision)
    typed = any(o.partition("=")[0].lstrip("+") == "trainer.precision" for o in overrides)
    asked = precision == HALF or (precision == FULL and typed)
    if not asked or _device_type(cfg.trainer.accelerator) != "cpu":
        return None
    found = timing(cfg.paths.cache_dir)
    gain, other = (found.gain, FULL) if precision == HALF else (1 / found.gain, HALF)
    if gain * _SLOW >= 1:
        return None
    return (
        f"trainer.precision={precision} is slow on this processor: a step of a small convolution takes "
        f"{found.float32:.1f} ms in float32 and {found.bfloat16:.1f} ms in bfloat16. Use "
        f"trainer.precision={other}, or auto, which measures and chooses."
    )


@cache
def timing(cache_dir: str) -> Timing:
    """Time this processor once; the answer is kept in `cache_dir` for this processor and version of torch."""
    path = Path(cache_dir) / f"precision_{processor()}.json"
    try:
        return Timing(**load_checked(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        found = measure()
        with suppress(OSError):  # then it is measured again the next time
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, dump_checked(found._asdict()))
        return found


def processor() -> str:
    """Twelve digits that stand for the processor's kind, what torch uses of it, and torch's version."""
    import torch

    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else [platform.processor()]
    kind = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    limits = [os.environ.get(f"{name}_MAX_CPU_ISA") for name in ("DNNL", "ONEDNN")]
    limits.append(torch.backends.cpu.get_cpu_capability())
    text = json.dumps([kind, platform.machine(), limits, torch.__version__])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def measure() -> Timing:
    """Forward and backward of a channels_last convolution in both precisions, in turn, at most 2 s in all."""
    import torch
    from torch import nn

    conv = nn.Conv2d(32, 32, 3, padding=1).to(memory_format=torch.channels_last)
    images = torch.ones(16, 32, 16, 16).to(memory_format=torch.channels_last).requires_grad_()

    def step(*, half: bool) -> float:
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            out = conv(images)
        out.float().sum().backward()
        return time.perf_counter() - start

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that other work and machine.threads matter less
    try:
        seconds: dict[bool, list[float]] = {False: [], True: []}
        for half in seconds:
            step(half=half)  # warms up
        began = time.perf_counter()
        while not seconds[True] or (time.perf_counter() - began < SECONDS and len(seconds[True]) < 50):
            for half, times in seconds.items():
                times.append(step(half=half))
    finally:
        torch.set_num_threads(threads)
    return Timing(min(seconds[False]) * 1000, min(seconds[True]) * 1000)
