"""The few lines that a run ends with, and how they are written."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ROWS = (
    ("test accuracy", "test/acc", "{:.2%}"),
    ("with TTA", "test/acc_tta", "{:.2%}"),
    ("test loss", "test/loss", "{:.4f}"),
    ("test ECE", "test/ece", "{:.4f}"),
    ("val accuracy", "val/acc", "{:.2%}"),
    ("best epoch", "best_epoch", "{}"),
    ("epochs", "epochs", "{}"),
    ("training time", "train_seconds", "{:.1f} s"),
    ("speed", "images_per_second", "{:.0f} images/s"),
    ("compute", "pflop", "{:.4g} PFLOP"),
    ("parameters", "num_params", "{:,}"),
    ("MACs an image", "macs", "{:,}"),
)


def results_table(facts: Mapping[str, Any]) -> str:
    """The numbers of a `summary.json`, a row each; what is missing is left out."""
    rows = [(name, form.format(facts[key])) for name, key, form in _ROWS if facts.get(key) is not None]
    width = max((len(value) for _, value in rows), default=0)
    return "\n".join(f"  {name:<14} {value:>{width}}" for name, value in rows)


def tensorboard_command(output_dir: str | Path) -> str:
    """The command that shows these runs, as it must be typed here."""
    name = "tensorboard"
    if shutil.which(name) is None:
        beside = Path(sys.executable).with_name(name)
        name = os.path.relpath(beside) if beside.exists() else f"{sys.executable} -m tensorboard.main"
    return f"{name} --logdir {output_dir}"


def shown(path: Path) -> str:
    """A path as one would type it here."""
    return os.path.relpath(path) if Path.cwd() in path.resolve().parents else str(path)


def duration(seconds: float) -> str:
    """`33.4 s`, `12.5 min` or `3.2 h`."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
