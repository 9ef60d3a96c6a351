"""How a command that has begun tells that it failed."""

import logging
import traceback
from pathlib import Path

from src.reports.summary import one_line
from src.reports.table import shown

log = logging.getLogger(__name__)


def report_failure(error: Exception, folder: Path) -> str:
    """Log one line, leave the traceback in `folder`, and return the line's reason."""
    details = folder / "traceback.txt"
    details.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    log.error("error: %s (details: %s)", one_line(error), shown(details))
    return one_line(error)
