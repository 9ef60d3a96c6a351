"""Lines on the terminal that a progress bar does not tear."""

import logging
import sys
from pathlib import Path

from tqdm import tqdm


class TqdmHandler(logging.Handler):
    """Write each record to standard output, above any running tqdm bar."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            tqdm.write(self.format(record), file=sys.stdout)
            sys.stdout.flush()  # a pipe would keep lines back for many epochs
        except Exception:  # a full pipe must not stop a training run: logging's own convention
            self.handleError(record)


def log_to(path: Path) -> None:
    """Send what is logged to the terminal, bare, and to a file."""
    handlers = [TqdmHandler(), logging.FileHandler(path, encoding="utf-8")]
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers, force=True)
