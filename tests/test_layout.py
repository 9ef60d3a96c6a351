"""The order in which the folders of `src/` are read: each imports only what stands before it."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import AnyNode, DictConfig, ListConfig

SRC = Path(__file__).parents[1] / "src"
ORDER = (
    "signals",
    "files",
    "lightning_private",
    "config",
    "data",
    "models",
    "optim",
    "attribution",
    "metrics",
    "drawing",
    "runs",
    "command",
    "engine",
    "callbacks",
    "train",
    "notebook",
)
# What training does not need: nothing above imports them, and they do not import each other
TOOLS = (
    "compare",
    "estimate",
    "evaluate",
    "explain",
    "export",
    "find_lr",
    "landscape",
    "plot_schedule",
    "tune",
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
    assert len(ARROWS) > 300
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


# What hangs on Lightning's loops, and what TensorBoard calls private
PRIVATE = ("fit_loop", "epoch_loop", "val_loop", "validate_loop", "test_loop", "predict_loop")
PRIVATE += ("batch_progress", "epoch_progress", "optim_progress", "restarting", "_get_file_writer")
OTHERS = ("_asdict", "_fields", "_foreach_")  # of named tuples and torch


def private_parts(tree: ast.AST) -> list[str]:
    """Where code that knows Lightning names one of its private parts."""
    nodes = list(ast.walk(tree))
    imported = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    imported += [f"{n.module}.{a.name}" for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names]
    knows = [name for name in imported if name.split(".")[0] == "lightning"]
    found = [name for name in knows if any(p.startswith("_") or p == "loops" for p in name.split("."))]
    for node in nodes:
        if isinstance(node, ast.Attribute):
            hidden = node.attr.startswith("_") and not node.attr.startswith(("__", *OTHERS))
            if node.attr in PRIVATE or (knows and hidden):
                found.append(node.attr)
        elif isinstance(node, ast.Constant) and str(node.value).split(".")[0] in PRIVATE:
            found.append(node.value)
    return found


@pytest.mark.parametrize(
    ("code", "want"),
    [
        (
            "from lightning.pytorch.loops.fit_loop import _FitLoop",
            ["lightning.pytorch.loops.fit_loop._FitLoop"],
        ),
        ("import lightning.pytorch.trainer.call._x", ["lightning.pytorch.trainer.call._x"]),
        ("trainer.fit_loop", ["fit_loop"]),
        ("logger.experiment._get_file_writer()", ["_get_file_writer"]),
        ("import lightning\ntrainer._results", ["_results"]),
        (
            "checkpoint['loops']['fit_loop']['epoch_loop.batch_progress']",
            ["epoch_loop.batch_progress", "fit_loop"],
        ),
        ("import lightning\ntorch._foreach_add_(a, b)\nsuper().__init__()\nself.loop", []),
        ("self._started", []),
    ],
)
def test_private_parts_are_seen(code: str, want: list[str]) -> None:
    assert sorted(private_parts(ast.parse(code))) == want


def test_one_file_alone_knows_lightnings_private_parts() -> None:
    found = {
        path.relative_to(SRC).as_posix(): names
        for path in sorted(SRC.rglob("*.py"))
        if (names := private_parts(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found.keys() == {"lightning_private.py"}, found


HYDRA = (
    "hydra._internal",
    "hydra.core.override_parser",
    "hydra.core.global_hydra",
    "hydra.core.object_type",
)
UNDERSCORED = {
    name for kind in (DictConfig, ListConfig, AnyNode) for name in dir(kind) if re.match("_[a-z]", name)
}


def parts_of_hydra(path: Path) -> Iterator[str]:
    """What a file takes of Hydra and OmegaConf that they do not promise to keep."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(HYDRA))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("hydra", "omegaconf")):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in names if name.startswith(HYDRA) or "._" in name)
        elif isinstance(node, ast.Attribute) and node.attr in UNDERSCORED:
            yield node.attr


def test_parts_of_hydra_of_hydra_stand_in_one_file() -> None:
    own = SRC / "config" / "hydra_private.py"
    others = [path for path in SRC.rglob("*.py") if path != own]
    assert {path.name: found for path in others if (found := list(parts_of_hydra(path)))} == {}
    assert len(list(parts_of_hydra(own))) >= 5
