"""Lines on the terminal that a progress bar does not tear."""

import logging
import multiprocessing
import os
import sys
from pathlib import Path

from tqdm import tqdm


class TqdmHandler(logging.Handler):
    """Write each record to standard output, above any running tqdm bar.

    Args:
        job: number of a sweep's job: where jobs share the terminal, each line begins with it.
    """

    def __init__(self, job: int | None = None) -> None:
        super().__init__()
        self.prefix = "" if job is None or not shares_terminal() else f"[{job}] "

    def emit(self, record: logging.LogRecord) -> None:
        try:
            lines = self.format(record).split("\n")
            text = "".join(f"{self.prefix}{line}\n" for line in lines)
            tqdm.write(text, file=sys.stdout, end="")  # at once, or another job's line gets between
            sys.stdout.flush()  # a pipe would keep lines back for many epochs
        except BrokenPipeError:  # nobody reads any more: the file has it all, and training continues
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except Exception:  # a full pipe must not stop a training run: logging's own convention
            self.handleError(record)


def shares_terminal() -> bool:
    """Whether this is one of several processes that a parent has started beside each other."""
    return multiprocessing.parent_process() is not None


def leave(folder: Path) -> None:
    """Log no longer into a folder, and remove it if it holds nothing else."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).parent == folder.resolve():
            logging.getLogger().removeHandler(handler)
            handler.close()
            log_file = Path(handler.baseFilename)
            if {path.name for path in folder.iterdir()} <= {log_file.name}:
                log_file.unlink(missing_ok=True)
                folder.rmdir()


def log_to(path: Path) -> None:
    """Send what is logged to the terminal, bare, and to a file."""
    log_to_terminal()
    logging.getLogger().addHandler(logging.FileHandler(path, encoding="utf-8"))


def log_to_terminal() -> None:
    """Send what is logged to the terminal alone, bare."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[TqdmHandler()], force=True)
