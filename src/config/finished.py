"""A finished run's configuration, read back from its folder: trusted no further than it must be."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from src.config.build import build
from src.config.check import apply_values, check_option, check_whole, job_config
from src.config.errors import ConfigError, nearest, plain_words
from src.config.groups import brought_along
from src.config.hydra_private import loader, parse
from src.config.latest import LATEST, latest_run
from src.config.moved import place_now
from src.config.precision import settle_precision
from src.config.resolvers import CONF_DIR, READING

# What a foreign configuration may interpolate: other keys, and what resolvers reckon or read. Others make
# folders or new nodes, and the name of a resolver can be computed itself.
_RESOLVERS = "|".join([r"oc\.env|oc\.select|hydra|now", *(function.__name__ for function in READING)])
_HARMLESS = re.compile(rf"\$\{{\s*([\w.\[\]]+\s*\}}|({_RESOLVERS})\s*:)")


def own_arguments(args: Sequence[str], own: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Split a command's own `key=value` arguments, with their defaults in `own`, from overrides.

    Their values are taken as they are typed: the names of run folders hold commas and equals signs.
    `run=latest` stands for the newest completed run.

    Raises:
        ConfigError: an argument that is neither, or a key of `own` without a value that has no default.
    """
    given, others = dict(own), []
    for arg in args:
        key, equals, value = arg.partition("=")
        if arg.startswith("-") or not (equals or arg.startswith("~")):
            near = nearest(key.lstrip("-"), own, "")
            raise ConfigError(f"cannot read {arg!r}: arguments are written key=value.{near}")
        if key in own:
            given[key] = unquoted(value)
        else:
            others.append(arg)
    if given.get("run") == LATEST:
        given["run"] = str(latest_run(others, completed=True))
        print(f"run: {given['run']}", file=sys.stderr)
    for key, value in given.items():
        if value == "???" or (not value and own[key] == "???"):
            raise ConfigError(f"{key} must be given: add {key}=<value> to the command; --help shows how.")
    return given, others


def unquoted(value: str) -> str:
    """Without the quotes around it, as Hydra wants them; names may hold quotes, too."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def words(value: str) -> list[str]:
    """`a,b`, `[a,b]` or nothing -> a list."""
    return [word.strip().strip("'\"") for word in value.strip("[]").split(",") if word.strip()]


def finished_run(own: Mapping[str, str], overrides: Sequence[str]) -> tuple[Path, Path, DictConfig]:
    """The run's folder, checkpoint and configuration that a command's `run`, `ckpt` and `allow` name.

    Raises:
        ConfigError: from `checkpoint_of` or `run_config`.
    """
    run_dir, which = Path(own["run"]), own["ckpt"]
    if run_dir.suffix == ".ckpt" and run_dir.is_file():
        run_dir, which = run_dir.parent.parent, which or run_dir.stem
    cfg = run_config(run_dir, overrides, allow=words(own["allow"]))
    return run_dir, checkpoint_of(run_dir, which), cfg


def run_config(run_dir: Path, overrides: Sequence[str], *, allow: Sequence[str] = ()) -> DictConfig:
    """What a run was made of, under this checkout's callbacks, loggers and trainer; `overrides` win.

    Results go nowhere yet: see `placed`.

    Args:
        run_dir: the run's folder.
        overrides: as for `src.train`; a group that is named here (`data=…`) replaces the run's.
        allow: names that may be called although no file in `conf/` names them.

    Raises:
        ConfigError: no run's folder, a name that may not be called, or an override that cannot work.
    """
    saved = read_config(run_dir)
    _refuse_strangers(OmegaConf.to_container(saved), allow, run_dir)
    try:
        with loader() as hydra:
            for override in (parsed := parse(overrides)):
                check_option(override, hydra)
                if override.is_sweep_override():
                    raise ConfigError(f"{override.input_line} asks for several values: give one.")
            options, values = hydra.split(parsed)
            cfg = job_config(hydra.base(options), [], hydra)
            typed = {o.key_or_group for o in options}
            with open_dict(cfg):
                for part in ("seed", *brought_along()):  # callbacks and trainer are this checkout's
                    if part in saved and part not in typed:
                        cfg[part] = saved[part]
            apply_values(values, cfg, hydra)
        check_whole(cfg)
        settle_precision(cfg)
        resolved = OmegaConf.to_container(cfg, resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(plain_words(error)) from None
    _refuse_strangers(resolved, [*allow, *_typed_names(overrides)], run_dir)  # resolvers can make names, too
    return cfg


def placed(cfg: DictConfig, out: Path) -> DictConfig:
    """The configuration as plain values, with results in `out`."""
    cfg.paths.run_dir = str(out)
    plain = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    assert isinstance(plain, DictConfig)
    return plain


def read_config(run_dir: Path) -> DictConfig:
    """The composed configuration that a run left in its folder.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    path = run_dir / ".hydra" / "config.yaml"
    if not path.is_file():
        raise ConfigError(
            f"{run_dir} is no run's folder: it has no .hydra/config.yaml. Runs lie in "
            f"outputs/<task_name>/runs/ and, from sweeps, in outputs/<task_name>/multiruns/<time>/."
        )
    try:
        text = path.read_text(encoding="utf-8")
        config = OmegaConf.create(text)
        config = OmegaConf.create(_with_new_places(OmegaConf.to_container(config)))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(config, DictConfig) or not all(part in config for part in ("data", "model", "module")):
        raise ConfigError(f"{path} is not the configuration of a run: it lacks data, model or module.")
    return config


def _with_new_places(config: Any) -> Any:
    """Nested dicts and lists of an older run, with this project's classes by the names they have now."""
    if isinstance(config, dict):
        new = {key: _with_new_places(value) for key, value in config.items()}
        if isinstance(target := new.get("_target_"), str):
            new["_target_"] = place_now(target) or target
        return new
    return [*map(_with_new_places, config)] if isinstance(config, list) else config


def _refuse_strangers(config: object, allow: Sequence[str], run_dir: Path) -> None:
    """Let nothing be called that this checkout's `conf/` does not call itself.

    Raises:
        ConfigError: `config` names something else, or a resolver that does more than read.
    """
    for name in targets(config):
        if name not in known_targets() and name not in allow:
            raise ConfigError(
                f"the configuration in {run_dir} would call {name}, which no file in conf/ does: nothing "
                f"was run. If you trust the run, add allow={name}."
            )
    for text in _strings(config):
        if computes(text):
            raise ConfigError(f"the configuration in {run_dir} computes {text!r}: nothing was run.")


def build_foreign(config: object, allow: Sequence[str], source: Path) -> Any:
    """Instantiate a configuration that was read from a file.

    Raises:
        ConfigError: it is no dict of plain values, or `_refuse_strangers` refuses it.
    """
    if not isinstance(config, dict):  # OmegaConf would read a string as YAML
        raise ConfigError(f"{source} is damaged: its configuration is a {type(config).__name__}, not a dict.")
    _refuse_strangers(config, allow, source)
    resolved = OmegaConf.to_container(DictConfig(config), resolve=True)
    _refuse_strangers(resolved, allow, source)
    return build(DictConfig(resolved))


def computes(text: str) -> bool:
    """Whether resolving a string could do more than read, now or when what comes out is resolved again."""
    return "\\$" in text or any(not _HARMLESS.match(text, at.start()) for at in re.finditer(r"\$\{", text))


def targets(config: object) -> Iterator[str]:
    """Every `_target_` in nested dicts and lists."""
    if isinstance(config, dict):
        if "_target_" in config:
            yield str(config["_target_"])
        for value in config.values():
            yield from targets(value)
    elif isinstance(config, list):
        for value in config:
            yield from targets(value)


def _strings(config: object) -> Iterator[str]:
    """Every string value in nested dicts and lists."""
    if isinstance(config, str):
        yield config
    elif isinstance(config, (dict, list)):
        for value in config.values() if isinstance(config, dict) else config:
            yield from _strings(value)


@cache
def known_targets() -> frozenset[str]:
    """Every `_target_` in the files of `conf/`."""
    files = CONF_DIR.rglob("*.yaml")
    return frozenset(t for path in files for t in targets(yaml.safe_load(path.read_text(encoding="utf-8"))))


def _typed_names(overrides: Sequence[str]) -> list[str]:
    """Names of callables that the user typed: who types `model._target_=x` means it."""
    return [value for o in overrides for key, _, value in [o.partition("=")] if key.endswith("._target_")]


def checkpoint_of(run_dir: Path, which: str) -> Path:
    """`best`, or `last` where no validation chose a best; or `last`.

    Raises:
        ConfigError: another word, or no such checkpoint.
    """
    folder = run_dir / "checkpoints"
    if which not in ("", "best", "last"):
        raise ConfigError(f"ckpt must be best or last: got {which}.")
    names = [which] if which else ["best", "last"]
    for name in names:
        if (folder / f"{name}.ckpt").is_file():
            return folder / f"{name}.ckpt"
    raise ConfigError(
        f"no {' or '.join(f'{name}.ckpt' for name in names)} in {folder}: did the run keep one?"
    )
