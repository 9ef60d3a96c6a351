"""The project's own dialect stays out: phrases that no engineer would write, and names that say nothing."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACES = ("src/**/*.py", "conf/**/*.yaml", "docs/*.md", "README.md", "CONTRIBUTING.md")
PHRASES = (  # what to write: after, before, resume or continue, resume, reports, again, color
    r"\bbehind (the )?(step|epoch|batch|checkpoint|warm-up|norm|stem|layer)",
    r"\bin front of\b",
    r"\bgo(es)? on\b",
    r"\bgoing on\b",
    r"\btells of\b",
    r"\banew\b",
    r"\bcolour",
    r"\bwhat it got wrong\b",
    r"\bthe seed system\b",
    r"\ba run's point\b",
    r"\bthere is something to train\b",
)
NAMES = (
    "whole_file",
    "sealed",
    "fresh_config",
    "lesson",
    "going_on",
    "agreed",
    "Told",
    "Said",
    "Answers",
    "Shelf",
)
OLD = r"\bseed_ln\b|augment=seed\b"
ALLOWED = {  # parts of lines
    # Old names, which are answered with the new ones
    **dict.fromkeys(("src/config/errors.py", "docs/bad_input.md", "docs/recipes.md"), OLD),
    "src/config/sweep.py": r"\banew\b",  # an argument: the sweep starts in a new folder
    "src/config/multirun.py": r"\banew\b",
}


def unwanted(line: str, allowed: str = "$^") -> bool:
    names = (rf"\b{name}\b" for name in NAMES)
    return bool(re.search("|".join([*PHRASES, *names, OLD]), re.sub(allowed, "", line)))


def found() -> Iterator[str]:
    """`file:line: text` of each place."""
    for pattern in PLACES:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                if unwanted(line, ALLOWED.get(name, "$^")):
                    yield f"{name}:{number}: {line.strip()}"


def test_the_patterns_find_what_they_are_for() -> None:
    for line in ("saved behind step 36", "a run goes on", "import whole_file", "class Told:", "norm=seed_ln"):
        assert unwanted(line), line
    for line in ("updates lag behind the weights", "saved after step 36", "atomic_write", "foretold"):
        assert not unwanted(line), line


def test_no_word_of_the_dialect_is_left() -> None:
    assert list(found()) == []
