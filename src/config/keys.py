"""Single keys of a configuration: whether they exist, which type they have, and which one was meant."""

from collections.abc import Mapping

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.config.errors import ConfigError, nearest
from src.config.hydra_private import Override
from src.config.rules import MISTYPED_ON_PURPOSE

# Keys of other templates, and what to type here
_HABITS = {
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
    wanted = _wanted_type(default, value)
    default = OmegaConf.to_container(default) if OmegaConf.is_config(default) else default
    if wanted and not (isinstance(value, str) and "${" in value):
        raise ConfigError(f"{key} must be {wanted}: got {shown(value)}. Default: {default!r}.")


def check_exists(override: Override, base: DictConfig) -> None:
    """Check that what an override sets or removes is there."""
    key = override.key_or_group
    plain = OmegaConf.to_container(base)
    if not adds(override) and not exists(key, plain):
        if key in _HABITS:
            raise ConfigError(f"{key} does not exist here: {_HABITS[key]}")
        shown = "hydra" if key.startswith("hydra.") else "job"
        raise ConfigError(
            f"{key} does not exist.{nearest(key, all_keys(plain))} (+{key}=… adds a new key; "
            f"python -m src.train --help lists the groups, --cfg {shown} the keys.)"
        )


def adds(override: Override) -> bool:
    """Whether an override may set a key that does not exist: `+key=` or `++key=`."""
    return override.is_add() or override.is_force_add()


def shown(value: object) -> str:
    """A value as it is typed."""
    return "null" if value is None else repr(value)


def _wanted_type(default: object, value: object) -> str | None:
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


def exists(key: str, plain: object) -> bool:
    """Whether nested dicts and lists have something at `key`, dots between the parts."""
    for part in key.split("."):
        if isinstance(plain, list) and part.isdigit() and int(part) < len(plain):
            plain = plain[int(part)]
        elif isinstance(plain, Mapping) and part in plain:
            plain = plain[part]
        else:
            return False
    return True


def all_keys(plain: object, prefix: str = "") -> list[str]:
    """Every key of nested dicts, dots between the parts."""
    keys = []
    for name, value in plain.items() if isinstance(plain, Mapping) else ():
        keys += [f"{prefix}{name}", *all_keys(value, f"{prefix}{name}.")]
    return keys
