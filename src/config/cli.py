"""What every command does with its arguments before it imports anything heavy."""

import os
import sys
import textwrap
from collections.abc import Callable
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from src.config.check import ConfigError, check
from src.config.help import help_text
from src.config.resume import with_run_overrides


class RunFailed(Exception):
    """A run has failed and has said so already."""


def run_command(job: Callable[[], None]) -> None:
    """Answer `--help`, check the arguments, then let Hydra run `job`; every failure is one line.

    Exit codes: 0 done, 1 a run failed, 2 the arguments are wrong.
    """
    args = sys.argv[1:]
    if "--help" in args or "-h" in args:
        print(help_text())
        return
    try:
        sys.argv[1:] = prepare(args)
    except ConfigError as error:
        fail(str(error), code=2)
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors come through to here instead of printing tracebacks
    try:
        job()
    except RunFailed:
        sys.exit(1)
    except KeyboardInterrupt:
        fail("interrupted", code=1)
    except (
        Exception
    ) as error:  # a launcher's: no srun, a worker that ran out of memory, a job that SLURM ended
        if wants_traceback:
            raise
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 300, placeholder=" …")
        fail(f"{reason} (HYDRA_FULL_ERROR=1 shows the traceback)", code=1)


def prepare(args: list[str]) -> list[str]:
    """Check command-line arguments and complete them for Hydra.

    Raises:
        ConfigError: something in them cannot work.
    """
    parsed, unknown = get_args_parser().parse_known_args(args)
    if unknown:
        name = unknown[0].lstrip("-").partition("=")[0]
        raise ConfigError(
            f"{unknown[0]} is not a flag: settings are written key=value, such as {name}=…, without --."
        )
    if (
        parsed.hydra_help
        or parsed.shell_completion
        or parsed.config_dir
        or parsed.config_path
        or parsed.config_name
    ):
        return args  # somebody who knows Hydra brings their own files
    overrides = with_run_overrides(parsed.overrides)
    check(overrides, sweep=parsed.multirun)
    flags = [arg for arg in args if arg not in parsed.overrides]
    return flags + overrides


def fail(message: str, *, code: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
