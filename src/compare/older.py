"""What runs that were trained before there was a config.json would say; nothing in their files is called."""

from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from src.config.finished import computes, strings  # knows our resolvers, too
from src.config.identity import what_matters

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where it can be: ten times as fast


def older_config(folder: Path) -> dict[str, Any]:
    """What config.json would hold, from `.hydra/config.yaml`.

    Raises:
        ValueError, OSError, YAMLError, OmegaConfBaseException: it is none, or would compute something.
    """
    content = read_yaml(folder / ".hydra" / "config.yaml")
    for text in strings(content):
        if computes(text):
            raise ValueError(f".hydra/config.yaml computes {text!r}")
    content["paths"] = content.get("paths", {}) | {"run_dir": str(folder)}  # Hydra's own, while it runs
    resolved = OmegaConf.to_container(OmegaConf.create(content), resolve=True)
    assert isinstance(resolved, dict)
    return what_matters({str(key): value for key, value in resolved.items()})


def older_options(folder: Path) -> dict[str, Any]:
    """The chosen option of each group, where Hydra wrote them down."""
    path = folder / ".hydra" / "hydra.yaml"
    choices = read_yaml(path)["hydra"]["runtime"]["choices"] if path.is_file() else {}
    return {group: option for group, option in choices.items() if not group.startswith("hydra")}


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file of one dict.

    Raises:
        ValueError, OSError, YAMLError: it is none.
    """
    if not path.is_file():
        raise ValueError(f"neither config.json nor .hydra/{path.name} is there")
    content = LOADER(path.read_text(encoding="utf-8")).get_single_data()
    if not isinstance(content, dict):
        raise ValueError(f".hydra/{path.name} holds no dict")
    return content
