"""What a hyperparameter search varies, in Hydra's grammar of sweeps, as Optuna's distributions.

A space maps a key of the configuration, or a group, to one of

    choice(sgd, adamw)                one of these; their order means nothing
    interval(0, 0.2)                  a number
    tag(log, interval(1e-4, 0.1))     a number, evenly spread over its logarithm
    int(interval(4, 64))              a whole number, 64 included; with tag(log, …), too
    range(5, 21, 5)                   5, 10, 15 or 20: as in Python, the end is not included
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import OmegaConf
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from yaml import YAMLError

from src.config.check import check
from src.config.errors import ConfigError, nearest
from src.config.hydra_private import ChoiceSweep, IntervalSweep, Override, OverridesParser, RangeSweep
from src.config.resolvers import CONF_DIR
from src.config.resume import key

_SEARCHES = CONF_DIR / "search"
DEFAULT = "default"
Space = dict[str, BaseDistribution]
_FORM = "choice(…), interval(…), tag(log, interval(…)) or range(…)"
DIGITS = 4  # of a number that is typed: more make no difference that a training could show


def searches() -> list[Path]:
    return sorted(_SEARCHES.glob("*.yaml"))


def split(overrides: Sequence[str]) -> tuple[Space, list[str]]:
    """The space that overrides with several values name, and the other overrides.

    Raises:
        ConfigError: such an override names no space; one line.
    """
    space, fixed = Space(), []
    for override in overrides:
        try:
            parsed = OverridesParser.create().parse_override(override)
        except (HydraException, ValueError, RecursionError):
            fixed.append(override)  # the check of fixed overrides says what is wrong with it
            continue
        if parsed.is_sweep_override() and not parsed.is_hydra_override():
            name = override.partition("=")[0]
            space[name] = distribution(name, parsed)
        else:
            fixed.append(override)
    return space, fixed


def search_space(which: str, typed: Space, fixed: Sequence[str]) -> Space:
    """The space of a name or a file, and what was typed; the keys that `fixed` overrides set are left out.

    Args:
        which: name or file; empty: only what was typed.
        typed: from the command line; it wins.
        fixed: the overrides that all trials share.

    Raises:
        ConfigError: no such search, or something in it cannot work; one line.
    """
    space = (read(which) if which else {}) | typed
    given = {key(override) for override in fixed}
    space = {name: entry for name, entry in space.items() if key(name) not in given}
    where = f"search={which}" if which else "search"
    if not space:
        raise ConfigError(f"{where}: the overrides set all of its keys: nothing is left to search.")
    _check_corners(where, space, fixed)
    return space


def read(which: str) -> Space:
    """The space of a name or a file.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    path = Path(which) if which.endswith((".yaml", ".yml")) else _SEARCHES / f"{which}.yaml"
    if not path.is_file():
        names = [found.stem for found in searches()]
        near = nearest(which, names, "search=")
        raise ConfigError(f"search={which} does not exist.{near} Valid: {', '.join(names)}, or a .yaml file.")
    try:
        raw = OmegaConf.to_container(OmegaConf.load(path))
        return parse({str(name): entry for name, entry in raw.items()} if isinstance(raw, dict) else {})
    except (ValueError, YAMLError) as error:
        raise ConfigError(f"search={which}: {' '.join(str(error).split())}") from None


def parse(raw: Mapping[str, Any]) -> Space:
    """The distributions that a file's content stands for.

    Raises:
        ConfigError: an entry that is none of the above; one line that names it.
    """
    if not raw:
        raise ConfigError(f"there is nothing to search: name keys, each with {_FORM}.")
    space = Space()
    for name, entry in raw.items():
        try:
            parsed = OverridesParser.create().parse_override(f"{name}={entry}")
        except (HydraException, ValueError, RecursionError):
            parsed = None
        if not isinstance(entry, str) or parsed is None or not parsed.is_sweep_override():
            raise ConfigError(f"{name} must be {_FORM}, as Hydra writes them: got {entry}.")
        space[name] = distribution(name, parsed)
    return space


def distribution(name: str, override: Override) -> BaseDistribution:
    """Optuna's distribution of an override with several values.

    Raises:
        ConfigError: there is none.
    """
    sweep = override.value()
    log = "log" in getattr(sweep, "tags", ())
    try:
        match sweep:
            case ChoiceSweep():
                return CategoricalDistribution([str(choice) for choice in override.sweep_string_iterator()])
            case IntervalSweep(start=float() | int() as low, end=float() | int() as high):
                return between(low, high, log=log, step=None)
            case RangeSweep(start=float() | int() as low, stop=float() | int() as stop, step=step):
                if not step > 0:
                    raise ValueError(f"the step must be above 0: got {step:g}.")
                steps = math.ceil((stop - low) / step - 1e-9)  # the end is not included
                return between(low, round(low + (steps - 1) * step, 12), log=log, step=step)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"{name}: {error}") from None
    raise ConfigError(f"{name} must be {_FORM}: got {override.input_line}.")


def between(low: float, high: float, *, log: bool, step: float | None) -> FloatDistribution | IntDistribution:
    """A number from low to high, both of them included.

    Raises:
        ValueError: there is none.
    """
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"the first number must be below the last: got {low:g} and {high:g}.")
    if log and step not in (None, 1):
        raise ValueError("tag(log, …) goes with interval(…), or a range without a step.")
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log, step=int(step or 1))
    return FloatDistribution(low, high, log=log, step=None if log else step)


def _check_corners(where: str, space: Space, overrides: Iterable[str]) -> None:
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
            raise ConfigError(f"{where}{beside}: {error}") from None


def overrides(params: Mapping[str, Any]) -> list[str]:
    """A trial's values as one types them, numbers with four digits."""
    return [f"{key}={typed(value)}" for key, value in params.items()]


def typed(value: Any) -> str:
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)


def ends(entry: BaseDistribution) -> list[str]:
    """The values that must work if all are to, as one types them: every choice, or both bounds."""
    if isinstance(entry, CategoricalDistribution):
        return [typed(choice) for choice in entry.choices]
    assert isinstance(entry, (FloatDistribution, IntDistribution))
    return [typed(entry.low), typed(entry.high)]
