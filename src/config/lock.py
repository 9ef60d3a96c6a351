"""A folder that one process works in at a time."""

import sys
from pathlib import Path
from typing import IO

NAME = ".lock"


def lock(folder: Path) -> IO[str] | None:
    """Take the folder for this process until the file that comes back is closed; None: another has it.

    The system gives it back when the process ends, however it ends. A second lock by the same process holds,
    too, and its end gives back both.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / NAME).open("a", encoding="utf-8")
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            # Of a process, not of an open file: loading workers that outlive a killed run do not hold it
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
