"""How a command that has begun tells that it failed."""

import errno
import logging
import shutil
import traceback
from pathlib import Path

from src.runs.summary import one_line
from src.runs.table import shown

log = logging.getLogger(__name__)


def report_failure(error: Exception, folder: Path, *, show: bool = False) -> str:
    """Log one line, leave the traceback in `folder`, and return the line's reason.

    Args:
        error: what was raised.
        folder: the run's, or the command's results.
        show: log the traceback, too.
    """
    reason, details = _reason_of(error, folder), folder / "traceback.txt"
    text = "".join(traceback.format_exception(error))
    if show:
        log.error("%s", text)
    try:
        details.write_text(text, encoding="utf-8")
    except OSError:
        log.error("error: %s", reason)
    else:
        log.error("error: %s (details: %s)", reason, shown(details))
    return reason


def _reason_of(error: Exception, folder: Path) -> str:
    """What an exception says in one line; of a full disk, where and what to do."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk is full: {shutil.disk_usage(folder).free:,} bytes are free for {folder}. Checkpoints "
            f"are as they were. Make room, then type resume={folder}."
        )
    return one_line(error)
