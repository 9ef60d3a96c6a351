"""All measurements of speed, into docs/speed_tables.md.

    DATA_ROOT=<folder> python -m benchmarks

Wants CIFAR-10 and some quiet minutes. The file grows table by table, so that one that fails loses no other.
"""

import os
import platform
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import torch

from benchmarks import augment, loading
from benchmarks.training.__main__ import tables
from benchmarks.training.table import Table

TARGET = Path(__file__).parents[1] / "docs" / "speed_tables.md"


def machine() -> str:
    """The processor, as Linux names it, cores, and what the numbers depend on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    name = facts.get("model name", platform.processor() or platform.machine())
    has_bf16 = any(flag in facts.get("flags", "") for flag in ("avx512_bf16", "amx_bf16"))
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{name}, {os.cpu_count()} cores, bfloat16 {'in hardware' if has_bf16 else 'emulated'}, {gpu}; "
        f"Python {platform.python_version()}, PyTorch {torch.__version__}; {date.today():%Y-%m-%d}"
    )


def main() -> None:
    text = f"# Speed, measured\n\nWritten by `python -m benchmarks`. {machine()}.\n"
    for table in all_tables():
        print(table.markdown(), flush=True)
        text += f"\n{table.markdown()}"
        TARGET.write_text(text, encoding="utf-8")


def all_tables() -> Iterator[Table]:
    """Each when it is ready."""
    yield loading.table()
    yield augment.table()
    yield augment.table(batch=1024)
    yield from tables()


if __name__ == "__main__":
    main()
