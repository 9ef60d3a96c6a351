"""The one place where a YAML node becomes an object."""

import re
from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from src.config.moved import moved

# What libraries say, and what it means here
_CLEARER = (
    (
        "No supported gpu backend|can not run on your system|not supported on this system",
        "there is no such device here: trainer=auto takes what there is, trainer=cpu the CPU.",
    ),
    ("can't allocate memory|out of memory", "that takes more memory than there is."),
    ("is blocklisted because", "it may not call this: Hydra forbids callables that can run any code."),
)


def build(node: DictConfig, **extra: Any) -> Any:
    """Instantiate `node._target_` and everything below it; plain dicts and lists inside, no DictConfig.

    Raises:
        ValueError: what the constructor said, with the name that it belongs to.
    """
    try:
        return instantiate(node, _convert_="all", **extra)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, (ValueError, FileNotFoundError)):
            raise cause from error
        said, _, key = str(error).partition("\nfull_key: ")
        if (named := re.search(r"Error locating target '([\w.]+)'", said)) and (words := moved(named[1])):
            raise ValueError(words) from error
        reason = " ".join(str(cause or said).split())
        better = next((words for pattern, words in _CLEARER if re.search(pattern, reason)), reason)
        raise ValueError(f"{key}: {better}" if key else better) from error


def build_named(nodes: DictConfig | Mapping[str, DictConfig] | None) -> dict[str, Any]:
    """Instantiate a group of named objects; `name: null` leaves one out."""
    return {str(name): build(node) for name, node in (nodes or {}).items() if node}


def build_all(nodes: DictConfig | Mapping[str, DictConfig] | None) -> list[Any]:
    """The objects of `build_named` without their names."""
    return list(build_named(nodes).values())
