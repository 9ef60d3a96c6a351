"""What every command shares: help, its arguments, a folder for results, failures in one line, exit codes."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import NoReturn

from src.config.cli import fail
from src.config.errors import ConfigError, unforeseen
from src.config.finished import own_arguments
from src.config.resolvers import new_folder
from src.signals import Terminated

_NOBODY_READS = 128 + signal.SIGPIPE if hasattr(signal, "SIGPIPE") else 1

_Main = Callable[[Sequence[str]], int]


@dataclass(frozen=True)
class Arguments:
    """What was typed: all of it, the command's own arguments with their defaults, overrides, and flags."""

    typed: Sequence[str]
    own: dict[str, str]
    overrides: list[str]
    flags: list[str]


class Failed(Exception):
    """The failure has been reported; the command ends with exit code 1."""


def command(
    help_text: str | Callable[[], str], own: Mapping[str, str] | None, *, flags: Sequence[str] = ()
) -> Callable[[Callable[[Arguments], int]], _Main]:
    """Make a command, `main(args) -> exit code`, of a function that does its work.

    The function checks the arguments first: a `ConfigError` or an `OSError` that it raises is one line and
    exit code 2. Its work, and all heavy imports, stand in `with results_in(...)`. It returns 0, or 1 where
    not all of its work was done.

    Args:
        help_text: what `--help` prints.
        own: the command's own `key=value` arguments with their defaults; `???`: must be given; None: the
            command reads all that was typed itself.
        flags: such as `-m`.
    """

    def decorate(work: Callable[[Arguments], int]) -> _Main:
        @wraps(work)
        def main(args: Sequence[str]) -> int:
            if "--help" in args or "-h" in args:
                print(help_text if isinstance(help_text, str) else help_text())
                return 0
            try:
                others = [arg for arg in args if arg not in flags]
                values, overrides = ({}, others) if own is None else own_arguments(others, own)
                return work(Arguments(args, values, overrides, [arg for arg in args if arg in flags]))
            except Failed:
                return 1
            except BrokenPipeError:
                raise  # see `enter`
            except (ConfigError, OSError) as error:
                fail(str(error), code=2)

        return main

    return decorate


def results_folder(folder: str | Path) -> Path:
    """A new folder; `-2`, `-3` … is appended where there is one already.

    Raises:
        OSError: it cannot be made.
    """
    return Path(new_folder(*os.path.split(folder)))


@contextmanager
def results_in(folder: Path, log_file: str, *, show: bool = False) -> Iterator[None]:
    """Log to the terminal and to a file in `folder`; what fails in the block is reported, its traceback kept.

    Args:
        folder: for results.
        log_file: name of the log.
        show: log the traceback, too.

    Raises:
        Failed: something in the block failed.
    """
    from src.config.console import log_to
    from src.runs.failure import report_failure

    log_to(folder / log_file)
    try:
        yield
    except Exception as error:
        report_failure(error, folder, show=show)
        raise Failed from error


def enter(main: Callable[[Sequence[str]], int | None]) -> NoReturn:
    """Run a command with the arguments that were typed, and leave with its exit code.

    Exit codes: the command's own; 1 something that it had not foreseen; 130 Ctrl-C, 143 SIGTERM; 141 whoever
    read its output has gone (`… --help | head`), which is no mistake and needs no words.
    """
    code: object = 1
    try:
        try:
            code = main(sys.argv[1:])
        finally:
            if sys.stdout:
                sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's own flush at the end
        code = _NOBODY_READS
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except Terminated as end:  # it has saved first, if it was training
        code = 128 + end.number
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR"):
            traceback.print_exc()
        print(f"error: {unforeseen(error)}", file=sys.stderr)
    sys.exit(code)  # type: ignore[arg-type]
