"""The order in which the folders of `src/` are read: each imports only what stands before it."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
ORDER = (
    *(
        "signals",
        "files",
        "config",
        "data",
        "models",
        "optim",
        "attribution",
        "metrics",
        "drawing",
        "runs",
        "engine",
    ),
    *("callbacks", "train", "notebook"),
)
# What training does not need: nothing above imports them, and they do not import each other
TOOLS = (
    *(
        "compare",
        "estimate",
        "evaluate",
        "explain",
        "export",
        "find_lr",
        "landscape",
        "plot_schedule",
        "tune",
    ),
)
EXCEPTIONS = {
    ("src.train", "src.compare.command"): "a sweep ends in the table of its runs",
}


def imports() -> Iterator[tuple[str, str]]:
    """(module, what it imports of this project), those inside functions too."""
    for path in sorted(SRC.rglob("*.py")):
        name = ".".join(path.relative_to(SRC.parent).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((name, alias.name) for alias in node.names if alias.name.startswith("src."))
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "src":
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield name, inner if is_module(inner) else str(node.module)


def is_module(name: str) -> bool:
    path = SRC.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def part(name: str) -> str:
    """The folder or file of `src/` that a module belongs to."""
    return [*name.split("."), ""][1]


ARROWS = sorted({(a, b) for a, b in imports() if part(b) and (a, b) not in EXCEPTIONS})


def test_every_folder_has_its_place() -> None:
    found = {path.stem for path in SRC.iterdir() if path.name not in ("__init__.py", "__pycache__")}
    assert found == {*ORDER, *TOOLS}
    assert len(ARROWS) > 500
    assert EXCEPTIONS.keys() <= set(imports())


def test_no_import_runs_against_the_order() -> None:
    places = {name: place for place, name in enumerate(ORDER)}
    against = [
        f"{a} imports {b}"
        for a, b in ARROWS
        if part(a) in places and part(b) in places and places[part(a)] < places[part(b)]
    ]
    assert against == []


def test_nothing_imports_a_tool_but_the_tool_itself() -> None:
    assert [f"{a} imports {b}" for a, b in ARROWS if part(b) in TOOLS and part(a) != part(b)] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    below = defaultdict(set)
    for a, b in ARROWS:
        below[a].add(b)
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        if name in way:
            pytest.fail(" imports ".join([*way[way.index(name) :], name]))
        if name not in done:
            for other in sorted(below[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in sorted(below):
        visit(name, ())
