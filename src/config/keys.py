"""Single keys of a configuration: whether they exist, which type they have, and which one was meant."""

from collections.abc import Iterable
from difflib import get_close_matches

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, ListConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.config.errors import ConfigError
from src.config.rules import MISTYPED_ON_PURPOSE

# Keys of other templates, and what to type here
HABITS = {
    "train": "python -m src.evaluate run=<run folder> tests without training.",
    "test": "trainer.limit_test_batches=0 leaves the test out.",
    "tags": "task_name=<name> puts runs into a folder of their own.",
    "print_config": "--cfg job prints the configuration.",
    "extras": "--cfg job prints the configuration.",
    "extras.print_config": "--cfg job prints the configuration.",
    "hparams_search": "python -m src.tune searches hyperparameters.",
    "trainer.gpus": "trainer=gpu trains on one GPU, trainer=ddp trainer.devices=2 on two.",
}


def check_key(override: Override, base: DictConfig) -> None:
    """Check that a value override names a key that exists, with a value of the key's type."""
    key = override.key_or_group
    check_exists(override, base)
    if adds(override) or override.is_delete() or key in MISTYPED_ON_PURPOSE:
        return
    try:
        default = OmegaConf.select(base, key)
    except OmegaConfBaseException:
        return  # an interpolation that only a running job can resolve
    value = override.value()
    wanted = wanted_type(default, value)
    if wanted and not (isinstance(value, str) and "${" in value):
        raise ConfigError(f"{key} must be {wanted}: got {shown(value)}. Default: {plain(default)!r}.")


def check_exists(override: Override, base: DictConfig) -> None:
    """Check that what an override sets or removes is there."""
    key = override.key_or_group
    if not adds(override) and find(key, base) is None:
        if key in HABITS:
            raise ConfigError(f"{key} does not exist here: {HABITS[key]}")
        shown = "hydra" if key.startswith("hydra.") else "job"
        raise ConfigError(
            f"{key} does not exist.{nearest(key, all_keys(base))} (+{key}=… adds a new key; "
            f"python -m src.train --help lists the groups, --cfg {shown} the keys.)"
        )


def adds(override: Override) -> bool:
    """Whether an override may set a key that does not exist: `+key=` or `++key=`."""
    return override.is_add() or override.is_force_add()


def shown(value: object) -> str:
    """A value as it is typed."""
    return "null" if value is None else repr(value)


def wanted_type(default: object, value: object) -> str | None:
    """Say which type the value should have had, or None if it fits the default's."""
    if default is None or (isinstance(default, DictConfig) and value is None):
        return None
    kinds: list[tuple[type, tuple[type, ...], str]] = [
        (bool, (bool,), "true or false"),
        (int, (int,), "a whole number"),
        (float, (int, float), "a number"),
        (str, (str, int, float), "a word"),
        (ListConfig, (list, tuple), "a list such as [1,2]"),
        (DictConfig, (dict,), "a group of keys"),
    ]
    for kind, accepted, name in kinds:
        if isinstance(default, kind):
            fits = isinstance(value, accepted) or not isinstance(
                value, (str, int, float, list, dict, type(None))
            )
            return None if fits and not (isinstance(value, bool) and kind is not bool) else name
    return None


def find(key: str, base: DictConfig) -> Node | None:
    """The node at `key` (dots between the parts), or None; resolves nothing."""
    node: Node = base
    for part in key.split("."):
        if isinstance(node, ListConfig) and part.isdigit() and int(part) < len(node):
            child = node._get_node(int(part))
        elif isinstance(node, DictConfig) and not node._is_none() and part in list(node):
            child = node._get_node(part)
        else:
            return None
        if not isinstance(child, Node):
            return None
        node = child
    return node


def all_keys(node: DictConfig, prefix: str = "") -> list[str]:
    """Every key of a config, dots between the parts."""
    keys = []
    for name in map(str, node):
        child = node._get_node(name)
        keys.append(f"{prefix}{name}")
        if isinstance(child, DictConfig) and not child._is_interpolation() and not child._is_none():
            keys += all_keys(child, f"{prefix}{name}.")
    return keys


def nearest(given: str, valid: Iterable[str], prefix: str = "") -> str:
    """` Did you mean …?` with the nearest valid name, or nothing."""
    valid = list(valid)
    leaf = given.rpartition(".")[2]
    leaves = {key.rpartition(".")[2]: key for key in reversed(valid)}
    found: list[str] = get_close_matches(given, valid, n=1, cutoff=0.8 if "." in given else 0.5)
    if leaf in leaves:
        found = [leaves[leaf]]  # `lr` is `optimizer.lr`
    elif "." not in given:  # `epochs` is `trainer.max_epochs`
        found = [leaves[n] for n in get_close_matches(leaf, leaves, n=1)] or found
    return f" Did you mean {prefix}{found[0]}?" if found else ""


def plain(value: object) -> object:
    """A config node as plain Python."""
    return OmegaConf.to_container(value) if isinstance(value, (DictConfig, ListConfig)) else value
