"""`when`: values that go with an option, and with no other option of its group.

    when:
      optimizer=sgd: {optimizer: {lr: 0.2, nesterov: true}}
      model=resnet18: {model: {width: 32}}

A recipe's plain `optimizer: {nesterov: true}` would end up in whatever optimizer is chosen. What stands in
`when` applies only if the option is chosen: `experiment=cpu optimizer=adam` trains Adam with the values of
Adam's own file. A block may set keys of any group. It wins over plain values of YAML files; what is typed
wins over both.
"""

from collections.abc import Callable, Mapping

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from src.config.errors import ConfigError, first_line, nearest


def apply_when(cfg: DictConfig, chosen: Mapping[str, str], options_of: Callable[[str], list[str]]) -> None:
    """Set the values of the chosen options; `cfg.when` is empty afterwards.

    Args:
        cfg: a composed configuration.
        chosen: the option of each group, such as `{"norm": "ln"}`.
        options_of: the options of a group.

    Raises:
        ConfigError: a block names no option of a group, or sets a key that does not exist.
    """
    for choice, values in (cfg.get("when") or {}).items():
        group, _, option = str(choice).partition("=")
        options = options_of(group)
        if option not in options:
            near = nearest(option, options, f"{group}=") if options else ""
            raise ConfigError(
                f"when: {choice} is no option of a group.{near} It is written <group>=<option>."
            )
        if chosen.get(group) == option:
            try:
                cfg.merge_with(values)
            except (OmegaConfBaseException, ValueError) as error:
                raise ConfigError(f"when: {choice}: {first_line(error)}.") from None
    if "when" in cfg:
        cfg.when = {}
