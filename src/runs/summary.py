"""`summary.json`: what a run is and how it ended, written from its start and never half-written.

It knows whether it is whole: see `src.config.checked_json`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from src.config.checked_json import dump_checked, finite, load_checked
from src.config.errors import printable
from src.files import write_text

NAME = "summary.json"


class Status(StrEnum):
    """How a run ended: the first word of `status` in its summary; a reason may follow after a colon."""

    RUNNING = "running"  # or killed before it could say so
    COMPLETED = "completed"
    FAILED = "failed"
    PRUNED = "pruned"


_INTERRUPTED = f"{Status.FAILED}: interrupted"


_TYPES = {
    "seed": int,
    "identity": str,
    "command": str,
    "device": str,
    "git_commit": str,
    "git_dirty": bool,
}


@dataclass(frozen=True)
class RunSummary:
    """The facts of a run that others work with.

    Args:
        status: how it ended.
        reason: why it failed or was pruned, empty for other runs.
        seed: of the run.
        identity: of its configuration, see `src.config.identity`.
        options: the chosen option of each group.
        overrides: what was typed.
        command: the command that repeats the run.
        device: what trained it.
        git_commit: the code that trained it.
        git_dirty: whether that code had changes that were not committed.
        numbers: all finite numbers by their key: `val/acc`, `train_seconds`, …
    """

    status: Status
    reason: str = ""
    seed: int | None = None
    identity: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    command: str = ""
    device: str | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def completed(self) -> bool:
        return self.status == Status.COMPLETED

    @property
    def failure(self) -> str | None:
        """Why it failed, or `pruned: …`; None of a run that is completed or running."""
        if self.status in (Status.COMPLETED, Status.RUNNING):
            return None
        return self.reason if self.status == Status.FAILED else f"{self.status}: {self.reason}"

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "RunSummary":
        """The content of a run's summary.json, typed.

        Raises:
            ValueError: it is not a run's.
        """
        word, _, reason = str(facts.get("status")).partition(": ")
        named = {key: facts[key] for key in _TYPES if facts.get(key) is not None}
        options, overrides = facts.get("options", {}), facts.get("overrides", [])
        strange = [key for key, value in named.items() if not isinstance(value, _TYPES[key])]
        if (
            word not in list(Status)
            or strange
            or not (isinstance(options, dict) and isinstance(overrides, list))
        ):
            raise ValueError(f"its {NAME} is not a run's")
        numbers = {
            key: float(value)
            for key, value in facts.items()
            if type(value) in (int, float) and math.isfinite(value)
        }
        return cls(Status(word), reason, options=options, overrides=overrides, numbers=numbers, **named)


class Stopped(Exception):
    """Ends a run on purpose; the message is its status, such as `pruned: …`."""


class Summary:
    """A run's facts, on disk after every change; of several processes only one should `write`."""

    def __init__(self, run_dir: str | Path, *, write: bool = True, **facts: Any) -> None:
        self.path, self.write = Path(run_dir) / NAME, write
        self.facts: dict[str, Any] = {}
        if write:
            self.failure.unlink(missing_ok=True)
        self.update(**{"status": Status.RUNNING} | facts)

    def update(self, **facts: Any) -> None:
        """Add facts and replace the file in one move; metrics may be named with `**{"val/acc": …}`."""
        self.facts |= {key: finite(value) for key, value in facts.items()}
        if self.write:
            write_text(self.path, dump_checked(self.facts))

    @property
    def failure(self) -> Path:
        """The traceback of a run that failed; of several processes, who creates it was the first to fail."""
        return self.path.with_name("traceback.txt")

    @contextmanager
    def recording(self) -> Iterator[None]:
        """`completed` if the block ends, `failed: …` with the reason if it raises or is interrupted.

        What a `Stopped` says stands there as it is.
        Of several processes the first to fail writes: what the others meet then is only what came of it.
        """
        try:
            yield
        except Stopped as end:
            self.update(status=str(end))
            raise
        except BaseException as error:
            # Ctrl-C, which Lightning turns into SystemExit, and SIGTERM are no errors
            failed = isinstance(error, Exception)
            with suppress(OSError):  # on a full disk it stays `running`, and a resumed run does so
                if failed:
                    self.write = _created(self.failure)
                self.update(status=f"{Status.FAILED}: {one_line(error)}" if failed else _INTERRUPTED)
            raise
        self.update(status=Status.COMPLETED)


def _created(path: Path) -> bool:
    """Create an empty file; False if it is there already. Of several processes only one gets True."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def one_line(error: BaseException) -> str:
    """An exception's message without line breaks, after its type where the type is not one that we raise."""
    said = str(error)
    if "Original Traceback" in said:  # from a loading process: the last line is the error
        said = said.strip().splitlines()[-1].partition(": ")[2]
    message = printable(said)
    known = isinstance(error, (ValueError, FileNotFoundError))
    return message if known and message else f"{type(error).__name__}: {message}".rstrip(": ")


def read_summary(run_dir: str | Path) -> dict[str, Any]:
    """The facts of a run's folder.

    Raises:
        FileNotFoundError: the folder holds no summary.
        ValueError: the summary is damaged.
    """
    path = Path(run_dir) / NAME
    if not path.is_file():
        raise FileNotFoundError(f"no {NAME} in {Path(run_dir).resolve()}: is it a run's folder?")
    try:
        return load_checked(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{NAME} is damaged ({error}). The weights may be whole: python -m src.evaluate run={run_dir} "
            f"tests them again."
        ) from None
