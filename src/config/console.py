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


def leave(folder: Path) -> None:
    """Log no longer into a folder, and remove it if it holds nothing else."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).parent == folder.resolve():
            logging.getLogger().removeHandler(handler)
            handler.close()
            log_file = Path(handler.baseFilename)
            if [path.name for path in folder.iterdir()] == [log_file.name]:
                log_file.unlink()
                folder.rmdir()


def log_to(path: Path) -> None:
    """Send what is logged to the terminal, bare, and to a file."""
    log_to_terminal()
    logging.getLogger().addHandler(logging.FileHandler(path, encoding="utf-8"))


def log_to_terminal() -> None:
    """Send what is logged to the terminal alone, bare."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[TqdmHandler()], force=True)
