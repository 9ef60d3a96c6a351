"""Resuming a run: its own overrides come first, then the ones just typed."""

import re
import sys
from pathlib import Path

import yaml
from omegaconf import DictConfig

from src.config.errors import ConfigError
from src.config.finished import computes, known_targets, unquoted
from src.config.identity import NAME, plain, what_matters, without_modules
from src.config.latest import LATEST, latest_run
from src.config.sweep import read


def with_run_overrides(overrides: list[str]) -> list[str]:
    """Put the overrides of the run that `resume=` or `ckpt_path=` names before `overrides`, which win.

    With `resume` the run's folder is gone on in; with `ckpt_path` a new run begins with its weights. A
    checkpoint that does not lie in a run's folder brings no overrides. Paths come back quoted: the names of
    run folders hold commas, which Hydra would take for a sweep.

    Raises:
        ConfigError: both are given, there is no such file, no checkpoint in the folder, no such run, or an
            override that could run somebody else's code.
    """
    resume, checkpoint = given(overrides, "resume"), given(overrides, "ckpt_path")
    if resume == LATEST:
        resume = str(latest_run(overrides, completed=False))
        print(f"resume: {resume}", file=sys.stderr)
    if resume and checkpoint:
        raise ConfigError(
            "resume continues in a run's own folder, ckpt_path starts a new run: give one of them."
        )
    if resume and resume != "auto":
        folder = _run_folder(resume)
        typed = [o for o in overrides if key(o) not in ("resume", "hydra.run.dir", "hydra.mode")]
        place = [f"resume={quoted(str(folder))}", f"hydra.run.dir={quoted(str(folder))}", "hydra.mode=RUN"]
        return kept(folder, [*typed, *place]) + typed + place
    if checkpoint:
        others = [o for o in overrides if key(o) != "ckpt_path"]
        folder = checkpoint_file(checkpoint).parent.parent
        return kept(folder, overrides) + others + [f"ckpt_path={quoted(checkpoint)}"]
    return overrides


def given(overrides: list[str], name: str) -> str | None:
    """The value that the last override of `name` gives it, bare; None for no override and for null."""
    values = [unquoted(o.partition("=")[2]) for o in overrides if key(o) == name]
    return values[-1] if values and values[-1] not in ("", "null") else None


def kept(run_dir: Path, typed: list[str]) -> list[str]:
    """What a run was started with, without the keys that are `typed` now.

    Raises:
        ConfigError: an override could run somebody else's code, or the file is damaged.
    """
    path = run_dir / ".hydra" / "overrides.yaml"
    saved = _read_overrides(path) if path.is_file() else []
    own = {key(o) for o in typed} | {"resume"}
    found = [o for o in saved if key(o) not in own]
    for override in found:
        _refuse_calls(override, path)
    return found


def _run_folder(path: str) -> Path:
    """The folder of a run that was begun.

    Raises:
        ConfigError: it is none.
    """
    folder = Path(path)
    if not (folder / ".hydra" / "overrides.yaml").is_file() or not (folder / NAME).is_file():
        raise ConfigError(
            f"resume={path}: no run was begun there. Give a run's folder, such as outputs/train/runs/…, or "
            f"resume=auto for the newest run of the same command, resume=latest for the newest of all."
        )
    return folder


def must_be_that_run(cfg: DictConfig) -> None:
    """Let `resume=<folder>` continue with what was trained there, and with nothing else.

    Raises:
        ConfigError: the configuration is of another run.
    """
    path = Path(cfg.resume) / NAME
    before, now = without_modules(read(path)), what_matters(plain(cfg))
    if not before:
        raise ConfigError(
            f"{path} is damaged: what was trained there cannot be told. ckpt_path={cfg.resume} "
            f"begins a new run from its weights."
        )
    other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if other:
        name = other[0]
        raise ConfigError(
            f"resume={cfg.resume} resumes the same run, but {len(other)} of its settings differ, such "
            f"as {name}: {before.get(name)} then, {now.get(name)} now. Leave that override out, or begin a "
            f"new run from its weights with ckpt_path={cfg.resume}."
        )


def _read_overrides(path: Path) -> list[str]:
    """The overrides that a run left in its folder.

    Raises:
        ConfigError: it is no list of them.
    """
    try:
        kept = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        kept = None
    if not isinstance(kept, list) or not all(isinstance(override, str) for override in kept):
        raise ConfigError(
            f"{path} is damaged: it should list the run's overrides. Give the .ckpt file in a folder of its "
            f"own, and type the overrides."
        )
    return kept


def _refuse_calls(override: str, path: Path) -> None:
    """Let a run's folder choose among what `conf/` calls, and nothing else.

    Raises:
        ConfigError: the override names a callable that no file in `conf/` does, computes one, or sets Hydra.
    """
    named = re.findall(r"_target_\W*[=:]\W*([\w.]*)", override)
    strange = [name for name in named if name not in known_targets()]
    if strange or computes(override) or key(override).startswith("hydra"):
        raise ConfigError(
            f"{path} has the override {override}, which could run code that is not this checkout's: nothing "
            f"was run. If you trust the run, type the override yourself."
        )


def checkpoint_file(path: str) -> Path:
    """The checkpoint that `path`, a file or a run's folder, stands for.

    Raises:
        ConfigError: there is none.
    """
    found = Path(path)
    if found.is_dir():
        found = found / "checkpoints" / "last.ckpt"
    if not found.is_file():
        raise ConfigError(
            f"no checkpoint {found}: give a .ckpt file, or a run's folder with checkpoints/last.ckpt."
        )
    return found


def quoted(value: str) -> str:
    """A value for Hydra, whatever stands in it."""
    return "'{}'".format(value.replace("'", "\\'"))


def key(override: str) -> str:
    """What an override sets, without its value."""
    return override.partition("=")[0].lstrip("+~")
