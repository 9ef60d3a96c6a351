"""`when`: values that go with an option, and with no other option of its group.

    when:
      optimizer=sgd: {optimizer: {lr: 0.2, nesterov: true}}
      model=resnet18: {model: {width: 32}}

A recipe's plain `optimizer: {nesterov: true}` would end up in whatever optimizer is chosen. What stands in
`when` applies only if the option is chosen: `experiment=cpu optimizer=adam` trains Adam with the values of
Adam's own file. A block may set keys of any group. It wins over plain values of YAML files; what is typed
wins over both.
"""

from collections.abc import Iterable, Mapping

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from src.config.errors import ConfigError, first_line


def apply_when(cfg: DictConfig, options: Mapping[str, str]) -> None:
    """Set the values of the chosen options; `cfg.when` is empty afterwards.

    Args:
        cfg: a composed configuration.
        options: the chosen option of each group, such as `{"norm": "ln"}`.

    Raises:
        ConfigError: a block sets a key that does not exist.
    """
    for choice, values in (cfg.get("when") or {}).items():
        group, _, option = str(choice).partition("=")
        if options.get(group) == option:
            try:
                cfg.merge_with(values)
            except (OmegaConfBaseException, ValueError) as error:
                raise ConfigError(f"when: {choice}: {first_line(error)}.") from None
    if "when" in cfg:
        cfg.when = {}


def complete(cfg: DictConfig, options: Mapping[str, str], overrides: Iterable[str]) -> None:
    """`apply_when` to what Hydra composed with these overrides, whose values win."""
    apply_when(cfg, options)
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if override.key_or_group not in options and not override.key_or_group.startswith("hydra"):
            apply(override, cfg)


def apply(override: Override, cfg: DictConfig) -> None:
    """Change `cfg` as Hydra would, without composing it again."""
    key = override.key_or_group
    if override.is_delete():
        parent, _, leaf = key.rpartition(".")
        with open_dict(cfg):
            (OmegaConf.select(cfg, parent) if parent else cfg).pop(leaf, None)
    else:
        new = override.is_add() or override.is_force_add()
        OmegaConf.update(cfg, key, override.value(), force_add=new)
