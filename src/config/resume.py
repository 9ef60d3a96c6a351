"""Going on with a run: its own overrides come first, then the ones just typed."""

import re
from pathlib import Path

import yaml

from src.config.check import ConfigError
from src.config.finished import computes, known_targets, unquoted


def with_run_overrides(overrides: list[str]) -> list[str]:
    """Put the overrides of the run that `ckpt_path=` names before `overrides`, which win.

    A checkpoint that does not lie in a run's folder brings none. The path comes back quoted: the
    names of run folders hold commas, which Hydra would take for a sweep.

    Raises:
        ConfigError: there is no such file, no checkpoint in the folder, or an override that could run
            somebody else's code.
    """
    given = [unquoted(o.partition("=")[2]) for o in overrides if o.startswith("ckpt_path=")]
    if not given or given[-1] in ("", "null"):
        return overrides
    checkpoint = checkpoint_file(given[-1])
    saved = checkpoint.parent.parent / ".hydra" / "overrides.yaml"
    kept = read_overrides(saved) if saved.is_file() else []
    typed = {key(o) for o in overrides}
    for override in kept:
        if key(override) not in typed:
            refuse_calls(override, saved)
    quoted = "ckpt_path='{}'".format(given[-1].replace("'", "\\'"))
    others = [o for o in overrides if key(o) != "ckpt_path"]
    return [o for o in kept if key(o) not in typed] + others + [quoted]


def read_overrides(path: Path) -> list[str]:
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


def refuse_calls(override: str, path: Path) -> None:
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


def key(override: str) -> str:
    """What an override sets, without its value."""
    return override.partition("=")[0].lstrip("+~")
