"""The one place where a YAML node becomes an object."""

from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig


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
        raise ValueError(" ".join(str(error).split())) from error


def build_all(nodes: DictConfig | Mapping[str, DictConfig] | None) -> list[Any]:
    """Instantiate the values of a group of named objects; `name: null` leaves one out."""
    return [build(node) for node in (nodes or {}).values() if node]
