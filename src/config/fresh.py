"""The configuration of a run that has not begun, for commands with arguments of their own."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from omegaconf import DictConfig

from src.config.check import check
from src.config.errors import ConfigError
from src.config.precision import settle_precision
from src.config.resolvers import run_name

# They change where a run happens, not what is learned
WHERE = ("data.root=", "data.download=", "data.num_workers=", "paths.", "task_name=")


def compose_config(overrides: list[str], own: Mapping[str, str], *, command: str) -> DictConfig:
    """The configuration that `src.train` would run, checked as it does; results go nowhere yet.

    Args:
        overrides: as for `src.train`.
        own: the command's own arguments, which a mistyped key may have meant.
        command: what the messages call the command, such as "the test".

    Raises:
        ConfigError: something in the overrides cannot work, or asks for a checkpoint.
    """
    if any(o.partition("=")[0] == "ckpt_path" for o in overrides):
        raise ConfigError(f"ckpt_path plays no part: {command} starts from fresh weights. Leave it out.")
    try:
        (cfg,) = check(overrides, sweep=False)
    except ConfigError as error:
        key, _, rest = str(error).partition(" does not exist.")
        if rest and (near := get_close_matches(key, own, n=1, cutoff=0.75)):
            raise ConfigError(f"{key} does not exist. Did you mean {near[0]}?") from None
        raise
    settle_precision(cfg)
    return cfg


def variant_name(overrides: Sequence[str]) -> str:
    """`run_name` of those overrides that change what is learned."""
    return run_name(",".join(o for o in overrides if not o.startswith(WHERE)))
