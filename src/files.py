"""Files that are never half-written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal


@contextmanager
def atomic_write(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Write beside the old file, to the disk, and put the new one in its place in one move.

    A reader sees the old one or the new one; if the block raises, or the process ends, it is the old one.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    as_text: dict[str, Any] = {"encoding": "utf-8", "newline": ""} if mode == "w" else {}
    try:
        with temporary.open(mode, **as_text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Replace a file's content in one move."""
    with atomic_write(path) as file:
        file.write(text)
