"""Finished, failed and running runs, found on disk: the start of every comparison."""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from src.config.checked_json import load_checked
from src.config.identity import NAME as CONFIG
from src.config.identity import identity, without_modules
from src.runs.summary import NAME as SUMMARY
from src.runs.summary import RunSummary, read_summary
from src.runs.table import shown

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A run's folder and what it says of itself.

    Args:
        folder: where it lies.
        summary: its summary.json.
        config: its config.json, flat: `{"optimizer.lr": 0.1, …}`; see `src.config.identity.what_matters`.
    """

    folder: Path
    summary: RunSummary
    config: dict[str, Any]


def find_runs(places: Sequence[str | Path]) -> list[Run]:
    """The runs in these folders and below them, by path (`2_…` before `10_…`), each once.

    A place is a run's folder, any folder above runs, or a glob. A folder that cannot be read as a run is
    named in one line and left out; what `src.evaluate` left in a run's folder is not a run.
    """
    folders = {folder.resolve() for place in places for path in expand(place) for folder in below(path)}
    runs = []
    for folder in sorted(folders, key=natural):
        try:
            run = _read_run(folder)
        except Exception as error:  # anything may lie in a foreign file, and none may stop a comparison
            log.warning("left out %s: %s", shown(folder), " ".join(str(error).split()))
            continue
        if run is not None:
            runs.append(run)
    return runs


def expand(place: str | Path) -> list[Path]:
    """The folders that a path or a glob stands for; the names of runs hold commas and equals signs."""
    if Path(place).exists():
        return [Path(place)]
    found = map(Path, glob(str(place), recursive=True))  # noqa: PTH207  # absolute, too
    return [path for path in found if path.is_dir()]


def below(place: Path) -> Iterator[Path]:
    """Folders with a summary.json, but none inside of a run's folder."""
    for folder, children, files in os.walk(place):
        if SUMMARY in files:
            yield Path(folder)
            children.clear()
        children[:] = [child for child in children if not child.startswith(".")]


def natural(path: Path) -> list[str | int]:
    """A key that sorts numbers inside of names by their size."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", str(path))]


def _read_run(folder: Path) -> Run | None:
    """A run's folder as a `Run`; None if it holds another command's results.

    Raises:
        ValueError, OSError: no run can be made of its files, or they are damaged.
    """
    facts = read_summary(folder)
    if "run" in facts:
        return None
    summary = RunSummary.from_facts(facts)
    if not (folder / CONFIG).is_file():
        raise ValueError(f"it has no {CONFIG}: runs of versions that wrote none cannot be compared")
    return Run(folder, summary, read_config(folder / CONFIG, summary.identity))


def read_config(path: Path, known: str | None) -> dict[str, Any]:
    """A run's config.json, flat, which the identity that its summary knows is made from.

    Raises:
        ValueError, OSError: it cannot be read as one, or is not the one that the run was made of.
    """
    try:
        config = load_checked(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} is damaged ({error})") from None
    if known is not None and identity(config) != known:
        raise ValueError(f"{path.name} is damaged: it is not what {SUMMARY} knows the run by")
    return without_modules(config)
