"""What every command does with its arguments before it imports anything heavy."""

import logging
import os
import signal
import sys
from argparse import ArgumentError, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from omegaconf import OmegaConf

from src.config.check import check, job_overrides
from src.config.errors import ConfigError, in_words, unforeseen
from src.config.help import help_text
from src.config.hydra_private import get_args_parser
from src.config.multirun import ending, multirun, opening, place
from src.config.precision import precision_override
from src.config.resume import given, must_be_that_run, quoted, with_run_overrides
from src.config.sweep import Sweep
from src.signals import Terminated, listen


class RunFailed(Exception):
    """A run has failed and has said so already."""


def run_command(job: Callable[[], None], conclude: Callable[[Path], object]) -> None:
    """Answer `--help`, check the arguments, then let Hydra run `job`; every failure is one line.

    Exit codes: 0 done, 1 a run failed, 2 the arguments are wrong, 130 Ctrl-C, 138 SIGUSR1, 143 SIGTERM.
    Signals that come while a network is trained are answered after a checkpoint.

    Args:
        job: Hydra's: one run, or one job of a sweep.
        conclude: leaves the table of what is done in a sweep's folder, however the sweep has ended.
    """
    args = sys.argv[1:]
    if "--help" in args or "-h" in args:
        print(help_text())
        return
    try:
        parsed = _parsed_flags(args)
        if text := answer(parsed):
            print(text, end="")
            return
        sys.argv[1:], sweep = prepare(args)
    except (ConfigError, OSError) as error:
        fail(in_words(error), code=2)
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR")
    if sweep:
        print(opening(sweep), flush=True)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors come through to here instead of printing tracebacks
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, stops nothing
    listen()
    code = 1
    try:
        job()
        code = 0
    except RunFailed:
        pass
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except Terminated as end:
        code = 128 + end.number
    except Exception as error:  # a launcher's: no srun, a worker that was killed, a job that SLURM ended
        if wants_traceback:
            raise
        print(f"error: {unforeseen(error)}", file=sys.stderr)
    finally:
        if sweep:
            conclude(sweep.folder)
            sweep.locked.close()
    if sweep and (problem := ending(sweep, stopped=code > 1)):
        fail(problem, code=code or 1)
    sys.exit(code)


def prepare(args: list[str]) -> tuple[list[str], Sweep | None]:
    """Check command-line arguments and complete them for Hydra; find and lock the folder of a sweep.

    Raises:
        ConfigError: something in them cannot work.
    """
    parsed = _parsed_flags(args)
    if parsed.hydra_help or parsed.shell_completion or _brings_own_files(parsed):
        return args, None
    overrides = with_run_overrides(parsed.overrides)
    flags = [arg for arg in args if arg not in parsed.overrides]
    whole = multirun(overrides, flag=parsed.multirun)
    if whole is None or parsed.cfg or parsed.info:
        configs = check(overrides, sweep=parsed.multirun)
        if parsed.cfg or parsed.info:
            return flags + overrides, None
        chosen = precision_override(configs)
        if configs[0].resume not in (None, "auto"):
            must_be_that_run(configs[0])
        return flags + overrides + chosen, None
    if given(overrides, "resume"):
        raise ConfigError("resume is for one run: a sweep (-m) resumes by itself when it is typed again.")
    configs = check(whole.overrides, sweep=True)
    chosen = precision_override(configs)
    sweep = place(whole, configs)
    others = [o for o in overrides if not o.startswith("hydra.sweep.dir=")]
    return flags + others + chosen + [f"hydra.sweep.dir={quoted(str(sweep.folder))}"], sweep


def _parsed_flags(args: list[str]) -> Namespace:
    """Hydra's flags, and the overrides.

    Raises:
        ConfigError: a flag that Hydra does not have, or a wrong value of one.
    """
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        parsed, unknown = parser.parse_known_intermixed_args(args)  # flags may stand after overrides
    except ArgumentError as error:
        raise ConfigError(f"{error}. --hydra-help lists Hydra's flags.") from None
    if unknown:
        name = unknown[0].lstrip("-").partition("=")[0]
        raise ConfigError(
            f"{unknown[0]} is not a flag: settings are written key=value, such as {name}=…, without --."
        )
    return parsed


def _brings_own_files(parsed: Namespace) -> bool:
    """Somebody who knows Hydra: nothing is checked here."""
    return bool(parsed.config_dir or parsed.config_path or parsed.config_name)


def answer(parsed: Namespace) -> str | None:
    """What is printed instead of a run, where Hydra's own answer would not fit."""
    if parsed.cfg == "job" and not _brings_own_files(parsed):
        return _job_text(parsed)
    if not parsed.shell_completion or parsed.overrides == ["query=bash"]:
        return None
    if parsed.overrides == ["install=bash"]:
        return Path(__file__).with_name("completion.bash").read_text(encoding="utf-8")
    if parsed.overrides == ["uninstall=bash"]:
        return "complete -r python python3; unset -f _src_train\n"
    raise ConfigError(
        "completion is there for bash: -sc install=bash prints it, -sc uninstall=bash takes it back. In zsh, "
        "autoload -U bashcompinit && bashcompinit comes first."
    )


def _job_text(parsed: Namespace) -> str:
    """What `--cfg job` prints; Hydra itself does not know what `when` does.

    Raises:
        ConfigError: the configuration cannot work, or has no such package.
    """
    overrides = with_run_overrides(parsed.overrides)
    cfg = check(overrides, sweep=parsed.multirun)[0]
    if whole := multirun(overrides, flag=parsed.multirun):
        print(f"# the first of {len(job_overrides(whole.overrides))} runs", file=sys.stderr)
    if parsed.resolve:
        OmegaConf.resolve(cfg)
    package = parsed.package if parsed.package not in (None, "_global_") else None
    node = OmegaConf.select(cfg, package) if package else cfg
    if node is None:
        raise ConfigError(f"--package {package}: the configuration has no such part.")
    return OmegaConf.to_yaml(node) if OmegaConf.is_config(node) else f"{node}\n"


def fail(message: str, *, code: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
