"""What a hyperparameter search may vary: plain mappings -> Optuna's distributions -> overrides.

A space maps a key of the configuration, or a group, to one of

    {low: 0.001, high: 1.0, log: true}    a number, evenly spread over its logarithm
    {low: 0.0, high: 0.2}                 a number
    {low: 5, high: 20, step: 5}           a whole number, where both bounds are written without a point
    {choices: [sgd, adamw]}               one of these: words, numbers, true, null, lists
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Space = dict[str, BaseDistribution]
FORM = "{low: …, high: …} with log: true or step: … if you like, or {choices: […]}"
DIGITS = 4  # of a number that is typed: more make no difference that a training could show
MAX_STEPS = 1_000_000_000  # from low to high


def parse(raw: Mapping[str, Any]) -> Space:
    """The distributions that a file's content stands for.

    Raises:
        ValueError: an entry that is none of the above; one line that names it.
    """
    if not raw:
        raise ValueError(f"there is nothing to search: name keys, each with {FORM}.")
    return {key: distribution(key, entry) for key, entry in raw.items()}


def distribution(key: str, entry: Any) -> BaseDistribution:
    """The distribution of one entry.

    Raises:
        ValueError: from `parse`.
    """
    match entry:
        case {"choices": [_, *_] as choices, **others} if not others:
            return one_of(key, choices)
        case {"low": int() | float(), "high": int() | float(), **others}:
            log, step = others.pop("log", False), others.pop("step", None)
            if not others and isinstance(log, bool) and isinstance(step, (int, float, type(None))):
                return between(key, entry["low"], entry["high"], log, step)
    raise ValueError(f"{key} must have {FORM}: got {entry}.")


def one_of(key: str, choices: Sequence[Any]) -> CategoricalDistribution:
    """Choices as one types them; their order and their distances mean nothing."""
    words = [c if isinstance(c, str) else json.dumps(c, separators=(",", ":")) for c in choices]
    if len(set(words)) < len(words):
        raise ValueError(f"{key}: choices must differ: got {', '.join(words)}.")
    return CategoricalDistribution(words)


def between(
    key: str, low: float, high: float, log: bool, step: float | None
) -> FloatDistribution | IntDistribution:
    """A number from low to high, both of them included."""
    given = f"got low={low} high={high}" + (f" step={step}." if step is not None else ".")
    if not low < high < float("inf"):
        raise ValueError(f"{key}: low must be below high: {given}")
    if log and (low <= 0 or step is not None):
        raise ValueError(f"{key}: log: true needs a low above 0 and no step: {given}")
    if step is not None and (step <= 0 or not near_whole((high - low) / step)):
        raise ValueError(f"{key}: step must lead from low to high: {given}")
    if isinstance(low, int) and isinstance(high, int):
        if isinstance(step, float):
            raise ValueError(f"{key}: step must be a whole number between whole numbers: {given}")
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(low, high, log=log, step=step)


def near_whole(number: float) -> bool:
    return number < MAX_STEPS and abs(number - round(number)) < 1e-9


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
