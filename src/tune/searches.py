"""The files of search spaces, and the studies that begin with them."""

import json
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

from filelock import FileLock
from omegaconf import OmegaConf
from optuna.distributions import distribution_to_json
from yaml import YAMLError

from src.config.check import check
from src.config.checked_json import dump_checked, load_checked
from src.config.errors import ConfigError
from src.config.keys import nearest
from src.config.resolvers import CONF_DIR, make_folder
from src.config.resume import key
from src.files import write_text
from src.tune.search_space import Space, ends, parse

SEARCHES = CONF_DIR / "search"


def searches() -> list[Path]:
    return sorted(SEARCHES.glob("*.yaml"))


def search_space(which: str, overrides: list[str]) -> Space:
    """The space of a name or a file, without the keys that `overrides` set.

    Raises:
        ConfigError: no such search, or something in it cannot work; one line.
    """
    path = Path(which) if which.endswith((".yaml", ".yml")) else SEARCHES / f"{which}.yaml"
    if not path.is_file():
        names = [found.stem for found in searches()]
        near = nearest(which, names, "search=")
        raise ConfigError(f"search={which} does not exist.{near} Valid: {', '.join(names)}, or a .yaml file.")
    try:
        raw = OmegaConf.to_container(OmegaConf.load(path))
        space = parse({str(name): entry for name, entry in raw.items()} if isinstance(raw, dict) else {})
    except (ValueError, YAMLError) as error:
        raise ConfigError(f"search={which}: {' '.join(str(error).split())}") from None
    typed = {key(override) for override in overrides}
    space = {name: entry for name, entry in space.items() if name not in typed}
    if not space:
        raise ConfigError(f"search={which}: the overrides set all of its keys: nothing is left to search.")
    check_corners(which, space, overrides)
    return space


def check_corners(which: str, space: Space, overrides: Iterable[str]) -> None:
    """Check every choice and bound, together with every choice of groups.

    Raises:
        ConfigError: one of them does not compose.
    """
    groups = [name for name in space if (CONF_DIR / name).is_dir()]
    values = [f"{name}={','.join(ends(entry))}" for name, entry in space.items() if name not in groups]
    for options in product(*(ends(space[name]) for name in groups)):
        chosen = [f"{name}={option}" for name, option in zip(groups, options, strict=True)]
        try:
            check([*overrides, *chosen, *values], sweep=True)
        except ConfigError as error:
            beside = f" with {' '.join(chosen)}" if chosen else ""
            raise ConfigError(f"search={which}{beside}: {error}") from None


def begin(folder: Path, what: str, command: str, space: Space) -> None:
    """Make a study's folder, or see that the one that is there searches the same.

    Args:
        folder: of the study.
        what: identity of what its trials share.
        command: the command that is asking.
        space: what it searches.

    Raises:
        ConfigError: the folder holds another study, or its study.json is damaged.
        OSError: it cannot be made.
    """
    spaces = {name: json.loads(distribution_to_json(entry)) for name, entry in space.items()}
    facts: dict[str, Any] = {"command": command, "identity": what, "space": spaces}
    make_folder(folder)
    with FileLock(folder / "study.lock"):
        path = folder / "study.json"
        if not path.is_file():
            write_text(path, dump_checked(facts))
        try:
            begun = load_checked(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(
                f"{path} is damaged ({error}). The trials are in journal.log: remove {path.name} and repeat "
                f"the command that began the study."
            ) from None
    if begun | {"command": command} != facts:
        raise ConfigError(
            f"{folder} was begun by another command: {begun.get('command')}. Repeat it, or give another "
            f"study=<name>."
        )
