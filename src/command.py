"""The way into every command and out of it: whatever happens, one line and an exit code."""

import os
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from src.config.errors import plain_words, printable
from src.signals import Terminated

NOBODY_READS = 128 + signal.SIGPIPE if hasattr(signal, "SIGPIPE") else 1


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
        code = NOBODY_READS
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except Terminated as end:  # it has saved first, if it was training
        code = 128 + end.number
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR"):
            traceback.print_exc()
        print(f"error: {unforeseen(error)}", file=sys.stderr)
    sys.exit(code)  # type: ignore[arg-type]


def unforeseen(error: Exception) -> str:
    """One line of at most some 300 characters on an error that nothing else has told of."""
    short = textwrap.shorten(in_words(error), 300, placeholder=" …")
    return f"{short} (HYDRA_FULL_ERROR=1 shows the traceback)"


def in_words(error: Exception) -> str:
    """What an error says, after its type where that tells more than the message."""
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return plain_words(error)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    message = printable(str(error))
    return (
        message
        if isinstance(error, (ValueError, OSError)) and message
        else f"{type(error).__name__}: {message}"
    )
