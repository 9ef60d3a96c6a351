"""Classes and functions that an older YAML file looks for where they no longer are."""

import re
from pathlib import Path

SRC = Path(__file__).resolve().parents[1]


def moved(target: str) -> str | None:
    """Say where a class or function of this project is now; None if it is where `target` says, or nowhere."""
    new = place_now(target)
    return f"{target} is {new} now: change _target_ where it is set." if new else None


def place_now(target: str) -> str | None:
    """The dotted name that a class or function of this project has now, if it has moved.

    Nothing is imported: its name is looked for in the files.
    """
    module, _, name = target.rpartition(".")
    if not module.startswith("src.") or not name.isidentifier():
        return None
    own = SRC.parent.joinpath(*module.split(".")).with_suffix(".py")
    if own.is_file() and _defines(own, name):
        return None
    for path in sorted(SRC.rglob("*.py")):
        if _defines(path, name):
            return ".".join([*path.relative_to(SRC.parent).with_suffix("").parts, name])
    return None


def _defines(path: Path, name: str) -> bool:
    """Whether a file defines this name at its top level."""
    text = path.read_text(encoding="utf-8")
    return re.search(rf"^((class|def) {name}\b|{name}\b[^=\n]*=)", text, flags=re.MULTILINE) is not None
