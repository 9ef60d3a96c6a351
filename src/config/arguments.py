"""Keys that the chosen class does not take, found before anything runs.

The keys that the files in `conf/` set for a class are known to be taken. Only a class that gets others, typed
with `+` or set by a recipe of one's own, is imported and asked.
"""

import inspect
import pydoc
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from src.config.moved import moved
from src.config.resolvers import CONF_DIR

_OF_HYDRA = {"_target_", "_partial_", "_args_", "_convert_", "_recursive_"}


def arguments_exist(cfg: DictConfig) -> Iterator[str]:
    """Say, in one line each, which class has moved, and which key no constructor takes."""
    for path, node in nodes(OmegaConf.to_container(cfg)):
        target = target_of(node)
        if words := moved(target):
            yield f"{path}: {words}"
            continue
        known = _known_keys(path, target, target_of(node.get("factory"))) | _OF_HYDRA
        others = [str(key) for key in node if str(key) not in known]
        taken = parameters(node) if others else None
        if taken is None:
            continue
        for key in others:
            if key not in taken:
                near = get_close_matches(key, taken, n=1)
                help_ = f"Did you mean {near[0]}?" if near else f"It takes {', '.join(taken)}."
                yield (
                    f"{path}.{key}: {target} takes no {key}. {help_} (Values of a recipe that go with one "
                    f"option of a group stand under `when:`.)"
                )


def nodes(node: Any, path: str = "") -> Iterator[tuple[str, dict[Any, Any]]]:
    """Every dict with a `_target_` that can be read, by its dotted key; interpolations are not followed."""
    for key, child in node.items() if isinstance(node, dict) else ():
        inner = f"{path}.{key}" if path else str(key)
        if target_of(child):
            yield inner, child
        yield from nodes(child, inner)


def target_of(node: Any) -> str:
    """What a node calls; empty where it calls nothing, or only a running job can tell."""
    target = str(node.get("_target_") or "") if isinstance(node, dict) else ""
    return "" if "${" in target else target


def parameters(node: dict[Any, Any]) -> list[str] | None:
    """Names that a node's target takes by keyword, or None: it takes any, or nobody can tell.

    A target with `**arguments` hands them to what stands beside them, such as a schedule's `factory`.
    """
    try:
        target: Any = pydoc.locate(target_of(node))
        found = inspect.signature(target).parameters.values()
    except Exception:  # it cannot be imported, or has no signature: the run tells
        return None
    if inspect.isbuiltin(target):  # os.system: the run says why it may not be called
        return None
    taken = [p.name for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if any(p.kind is p.VAR_KEYWORD for p in found):
        inner = [parameters(child) for path, child in nodes(node) if "." not in path]
        if not inner or None in inner:
            return None
        taken += [name for names in inner for name in names or ()]
    return taken


@cache
def _known_keys(path: str, target: str, factory: str) -> frozenset[str]:
    """Keys at this dotted path in the files of its group that call the same, or name nothing to call.

    Schedules are told apart by their `factory`.
    """
    group, *parts = path.split(".")
    files = [(content, parts) for content in contents(CONF_DIR / group)]
    files += [(content, [group, *parts]) for content in contents(CONF_DIR)]
    found: set[str] = set()
    for content, way in files:
        node: Any = content
        for part in way:
            node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict) or node.get("_target_", target) != target:
            continue
        if node.get("factory", {}).get("_target_", factory) == factory:
            found |= set(map(str, node))
    return frozenset(found)


@cache
def contents(folder: Path) -> tuple[Any, ...]:
    """The YAML files of a folder, read."""
    return tuple(yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yaml")))
