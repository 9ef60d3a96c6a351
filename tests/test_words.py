"""The project's own dialect stays out: phrases that no engineer would write, and names that say nothing."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACES = ("src/**/*.py", "conf/**/*.yaml", "docs/*.md", "README.md", "CONTRIBUTING.md")
PHRASES = (  # what to write: after, before, resume or continue, resume, reports, again, color
    *(
        r"\bbehind (the )?(step|epoch|batch|checkpoint|warm-up|norm|stem|layer)",
        r"\bin front of\b",
        r"\bgo(es)? on\b",
    ),
    *(
        r"\bgoing on\b",
        r"\btells of\b",
        r"\banew\b",
        r"\bcolour",
        r"\bwhat it got wrong\b",
        r"\bthe seed system\b",
    ),
    *(r"\ba run's point\b", r"\bthere is something to train\b"),
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
ALLOWED = {
    # Old names, which are answered with the new ones
    **dict.fromkeys(("src/config/errors.py", "docs/bad_input.md", "docs/recipes.md"), r"seed|called"),
    "src/config/sweep.py": r"\banew\b",  # an argument: the sweep starts in a new folder
    "src/config/multirun.py": r"\banew\b",
    "src/runs/folder.py": r"there is something to train",
}


def found() -> Iterator[str]:
    """`file:line: text` of each place."""
    unwanted = re.compile(
        "|".join([*PHRASES, *(rf"\\b{name}\\b" for name in NAMES), r"\bseed_ln\b|augment=seed\b"])
    )
    for pattern in PLACES:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                hit = unwanted.search(line)
                if hit and not re.search(ALLOWED.get(name, "$^"), line):
                    yield f"{name}:{number}: {line.strip()}"


def test_no_word_of_the_dialect_is_left() -> None:
    assert list(found()) == []
