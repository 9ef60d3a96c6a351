"""Where a run comes from: code, versions, machine and command."""

import platform
import shlex
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("torch", "torchvision", "lightning", "hydra-core", "torchmetrics", "albumentations", "numpy")
ROOT = Path(__file__).resolve().parents[2]


def provenance(overrides: Sequence[str], command: str = "src.train") -> dict[str, Any]:
    """Facts about code, packages and the command that runs this again."""
    commit = _git("rev-parse", "HEAD")
    return {
        "overrides": list(overrides),
        "command": shlex.join(["python", "-m", command, *overrides]),
        "git_commit": commit,
        "git_dirty": bool(_git("status", "--porcelain")) if commit else None,
        "versions": {"python": platform.python_version()} | {name: installed(name) for name in _PACKAGES},
        "platform": platform.platform(),
    }


def installed(name: str) -> str | None:
    """A package's version, or None where it is not installed: training alone does not need all of them."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """What git says about the project, or None where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
