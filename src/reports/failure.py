"""How a command that has begun tells that it failed."""

import logging
import traceback
from pathlib import Path

from src.reports.summary import one_line
from src.reports.table import shown

log = logging.getLogger(__name__)


def report_failure(error: Exception, folder: Path, *, show: bool = False) -> str:
    """Log one line, leave the traceback in `folder`, and return the line's reason.

    Args:
        error: what was raised.
        folder: the run's, or the command's results.
        show: log the traceback, too.
    """
    details = folder / "traceback.txt"
    text = "".join(traceback.format_exception(error))
    details.write_text(text, encoding="utf-8")
    if show:
        log.error("%s", text)
    log.error("error: %s (details: %s)", one_line(error), shown(details))
    return one_line(error)
