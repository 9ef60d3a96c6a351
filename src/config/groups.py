"""The groups of a configuration: each is a line of the defaults list in `conf/train.yaml`, and YAML files.

The line's comment is what `--help` says of the group. Unless one of the sets below names it, a group is part
of what a run is: of its identity, of what a finished run brings along, of the columns that tell runs apart.
"""

import re
from functools import cache
from typing import NamedTuple

from src.config.resolvers import CONF_DIR

RECIPES = {"experiment", "size", "debug"}  # they set keys of other groups
SURROUNDINGS = {"logger", "paths", "hydra"}  # they change nothing that is learned
OF_THIS_CHECKOUT = {"average", "trainer", "machine", "callbacks"}  # what a finished run does not bring along


class Group(NamedTuple):
    """A group's default option, and what it is about."""

    default: str
    words: str


@cache
def groups() -> dict[str, Group]:
    """All groups, in the order of the defaults list."""
    text = (CONF_DIR / "train.yaml").read_text(encoding="utf-8").partition("\ndefaults:")[2]
    found = re.findall(r"^  - (\w+): (\w+) *#? *(.*)$", text, flags=re.MULTILINE)
    return {name: Group(default, words) for name, default, words in found}


def learned() -> list[str]:
    """The groups that are part of a run's identity."""
    return [name for name in groups() if name not in RECIPES | SURROUNDINGS]


def brought_along() -> list[str]:
    """The groups that a finished run brings along: what made its weights."""
    return [name for name in learned() if name not in OF_THIS_CHECKOUT]
