"""Sweeps that continue: the same command, typed again, finds the folder it began in and does what is left."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from src.config.checked_json import load_checked
from src.config.errors import ConfigError
from src.config.identity import NAME as CONFIG
from src.config.identity import identity, without_modules
from src.config.lock import lock
from src.config.resolvers import make_folder, new_folder
from src.files import write_text

NAME = "sweep.json"
SUMMARY = "summary.json"  # of a run


@dataclass(frozen=True)
class Sweep:
    """A sweep's folder, locked for this process, and what its jobs are."""

    folder: Path
    jobs: list[str]  # in order: a job's identity; of a job that was not composed up front, its overrides
    locked: IO[str]

    def count(self, status: str) -> int:
        """How many runs in the folder have a status that begins so."""
        return sum(str(facts.get("status")).startswith(status) for facts in runs_in(self.folder).values())


def find_sweep(folder: Path | None, parent: Path, jobs: Sequence[str], *, anew: bool) -> Sweep:
    """Lock the folder that these jobs belong in.

    Args:
        folder: what the user asked for, or None.
        parent: else the newest folder below it that was begun with the same jobs is gone on with; the order
            of overrides plays no part as long as it leaves the jobs in theirs.
        jobs: as in `Sweep`.
        anew: begin in a new folder.

    Raises:
        ConfigError: another process works at the sweep.
        OSError: a folder cannot be made.
    """
    make_folder(parent)
    deadline = time.monotonic() + 10
    while (choosing := lock(parent)) is None:  # two that start at once must see each other's folder
        if time.monotonic() > deadline:
            raise ConfigError(f"another sweep has been starting in {parent} for 10 seconds: try again.")
        time.sleep(0.05)
    with choosing:
        if folder is None and not anew:
            folder = begun_before(parent, jobs)
        if folder is None:
            folder = Path(new_folder(str(parent), time.strftime("%y%m%d-%H%M")))
        make_folder(folder)
        locked = lock(folder)
        if locked is None:
            raise ConfigError(
                f"this sweep is running in another process, in {folder}: wait for it, or begin another one "
                f"in a new folder with rerun=all."
            )
        write_text(folder / NAME, json.dumps({"jobs": list(jobs)}, indent=2))
    return Sweep(folder, list(jobs), locked)


def begun_before(parent: Path, jobs: Sequence[str]) -> Path | None:
    """The newest folder of a sweep with these jobs."""
    for path in sorted(parent.glob(f"*/{NAME}"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        begun = read(path).get("jobs")
        if begun == list(jobs) or (isinstance(begun, list) and were(begun, jobs, path.parent)):
            return path.parent
    return None


def were(begun: list[Any], jobs: Sequence[str], folder: Path) -> bool:
    """Whether an earlier version, whose identities hung on where classes were, began these jobs.

    The runs that it began say what they are today; of others nobody knows.
    """
    today = {facts.get("identity"): _identity_now(run_dir) for run_dir, facts in runs_in(folder).items()}
    known = [
        (today[old], new) for old, new in zip(begun, jobs, strict=False) if today.get(old) not in (None, old)
    ]
    return len(begun) == len(jobs) and bool(known) and all(now == new for now, new in known)


def _identity_now(run_dir: Path) -> str | None:
    """What identifies a run today, from its config.json; None if that is missing or damaged."""
    matters = read(run_dir / CONFIG)
    return identity(without_modules(matters)) if matters else None


def runs_in(folder: Path) -> dict[Path, dict[str, Any]]:
    """The summaries of the runs in a sweep's folder, by their folders, in the order of jobs."""
    found = {path.parent: read(path) for path in folder.glob(f"*/{SUMMARY}")}
    return dict(sorted(found.items(), key=lambda item: (_job_number(item[0]), item[0].name)))


def _job_number(run_dir: Path) -> int:
    """`3_norm=ln` -> 3."""
    number = run_dir.name.partition("_")[0]
    return int(number) if number.isdigit() else 0


def read(path: Path) -> dict[str, Any]:
    """A JSON file's content; nothing where it is damaged."""
    try:
        return load_checked(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def run_before(run_dir: Path, key: str, *, in_sweep: bool, auto: bool = False) -> Path | None:
    """The folder that a run with this identity was begun in.

    That is its own, or in a sweep another of the sweep's: one that was extended (`hydra.sweep.dir=<folder>`
    with more values) numbers its jobs again from 0. With `auto` it is the newest beside its own, one not
    done first.
    """
    if _is_same(run_dir, read(run_dir / SUMMARY), key):
        return run_dir
    if not (in_sweep or auto):
        return None
    same = {f: facts for f, facts in runs_in(run_dir.parent).items() if _is_same(f, facts, key)}
    if not auto:
        return next(iter(same), None)
    newest = sorted(same, key=lambda f: (f / SUMMARY).stat().st_mtime_ns, reverse=True)
    return min(
        newest, key=lambda f: same[f].get("status") == "completed", default=None
    )  # the first of equals


def _is_same(run_dir: Path, facts: dict[str, Any], key: str) -> bool:
    """Whether a run has this identity, which an earlier version may have written otherwise."""
    return "identity" in facts and (facts["identity"] == key or _identity_now(run_dir) == key)


def left_alone(run_dir: Path, rerun: str) -> str | None:
    """Why a job that was begun before is not done again, or None: it is gone on with."""
    status = str(read(run_dir / SUMMARY).get("status"))
    if status == "completed":
        return "done before"
    if status in ("running", "failed: interrupted") or rerun == "failed":
        return None
    return f"{status.replace('failed:', 'failed before:', 1)} (rerun=failed tries it again)"
