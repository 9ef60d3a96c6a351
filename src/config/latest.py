"""`latest`: the run that was started last, so that nobody has to paste the name of its folder."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from src.config.errors import ConfigError
from src.config.sweep import SUMMARY, read

LATEST = "latest"
_KEPT = ("best.ckpt", "last.ckpt")


def latest_run(overrides: Sequence[str], *, completed: bool) -> Path:
    """The folder of the newest run by its start, jobs of sweeps included, that kept a checkpoint.

    Args:
        overrides: as typed; `paths.output_dir` says where to look.
        completed: a run that is done; else one that was cut off, has failed, or still runs.

    Raises:
        ConfigError: there is none.
    """
    typed = [o.partition("=")[2] for o in overrides if o.startswith("paths.output_dir=")]
    outputs = Path(typed[-1] if typed else os.environ.get("OUTPUT_DIR", "outputs"))
    found: list[tuple[str, Path]] = []
    for path in outputs.rglob(SUMMARY):
        config, facts = path.parent / ".hydra" / "config.yaml", read(path)
        status = str(facts.get("status"))
        wanted = status == "completed" if completed else status.startswith(("running", "failed"))
        if (
            config.is_file()
            and wanted
            and any((path.parent / "checkpoints" / name).is_file() for name in _KEPT)
        ):
            found.append((str(facts.get("started") or written(config)), path.parent))
    if not found:
        kind = "completed" if completed else "unfinished"
        raise ConfigError(f"latest: there is no {kind} run with a checkpoint in {outputs}.")
    return max(found)[1]


def now() -> str:
    """The time as a summary has it: UTC, to the millisecond, in an order that sorts."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def written(path: Path) -> str:
    """When a file was written, as `now` would have said it: for runs whose summary does not tell."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="milliseconds")
