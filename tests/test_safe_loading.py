"""No file that somebody else may have written is read in a way that can run code."""

import ast
from collections.abc import Iterator

import pytest

from src.config.resolvers import CONF_DIR

ROOT = CONF_DIR.parent
FILES = sorted(path for folder in ("src", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py"))
# Each can run what a file says, whatever its arguments
FORBIDDEN = {
    *("eval", "exec", "__import__"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "pickle._Unpickler", "_pickle"),
    *("dill", "cloudpickle", "shelve", "marshal", "jsonpickle", "joblib.load", "pandas.read_pickle"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.full_load_all", "yaml.unsafe_load"),
    *("yaml.unsafe_load_all", "yaml.Loader", "yaml.FullLoader", "yaml.UnsafeLoader", "yaml.CLoader"),
    *("torch.jit.load", "torch.hub.load", "torch.package", "torch.export.load", "torch.serialization.load"),
}
# They read numbers alone if they are told so, where they are called
TOLD = {"torch.load": ("weights_only", True), "numpy.load": ("allow_pickle", False)}
CHECKPOINTS = ("fit", "validate", "test", "predict")  # of a trainer, with ckpt_path=
ALLOWED = {
    ("src/data/cifar.py", "pickle.Unpickler"): "restricted to numpy's arrays",
    ("tests/config/test_hydra_private.py", "pickle.loads"): "its own bytes, as a launcher's worker gets them",
    ("tests/test_evaluate_and_explain.py", "torch.load"): "shows that a hostile file is hostile",
    (
        "tests/test_notebook.py",
        "load_from_checkpoint",
    ): "the Classifier's own, which reads numbers and texts only",
    **{
        ("tests/test_hostile.py", name): "shows that a hostile file is hostile"
        for name in ("torch.load", "numpy.load", "pickle.loads")
    },
}


def unsafe(source: str) -> Iterator[tuple[int, str]]:
    """(line, name) of everything in a Python file that could run what a file says."""
    tree = ast.parse(source)
    names = imported(tree)
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
            whole = [
                f"{node.module}.{alias.name}" for alias in node.names if isinstance(node, ast.ImportFrom)
            ]
            yield from ((node.lineno, name) for name in [*modules, *whole] if name in FORBIDDEN)
        elif isinstance(node, (ast.Attribute, ast.Name)):
            name = full_name(node, names)
            call = called.get(id(node))
            if name in FORBIDDEN or (name in TOLD and not (call and is_told(call, *TOLD[name]))):
                yield node.lineno, name
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            loads = node.func.attr == "load_from_checkpoint" or (
                node.func.attr in CHECKPOINTS and any(word.arg == "ckpt_path" for word in node.keywords)
            )
            if loads and not is_told(node, "weights_only", True):
                yield node.lineno, node.func.attr


def imported(tree: ast.AST) -> dict[str, str]:
    """Local name -> what it stands for: `np` -> numpy, `loads` -> pickle.loads."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {
                a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0]
                for a in node.names
            }
        elif isinstance(node, ast.ImportFrom):
            found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return found


def full_name(node: ast.expr, names: dict[str, str]) -> str:
    """`np.load` -> numpy.load; empty for what is no dotted name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (front := full_name(node.value, names)):
        return f"{front}.{node.attr}"
    return ""


def is_told(call: ast.Call, key: str, value: bool) -> bool:
    """Whether a call has the literal `key=value`."""
    return any(
        word.arg == key and isinstance(word.value, ast.Constant) and word.value.value is value
        for word in call.keywords
    )


def test_nothing_is_read_in_a_way_that_can_run_code() -> None:
    assert len(FILES) > 200
    found = {
        (path.relative_to(ROOT).as_posix(), name): line
        for path in FILES
        for line, name in unsafe(path.read_text(encoding="utf-8"))
    }
    assert found.keys() == ALLOWED.keys(), found


@pytest.mark.parametrize(
    "line",
    [
        "import torch\ntorch.load(path)",
        "import torch\ntorch.load(path, weights_only=False)",
        "import torch\ntorch.load(path, weights_only=safe)",
        "import torch as t\nread = t.load",
        "from torch import load\nload(path)",
        "import torch\ntorch.jit.load(path)",
        "from torch.export import load\nload(path)",
        "trainer.fit(module, ckpt_path=path)",
        "trainer.test(module, ckpt_path=path, weights_only=None)",
        "Classifier.load_from_checkpoint(path)",
        "import pickle\npickle.loads(content)",
        "from pickle import Unpickler as Reader",
        "import _pickle",
        "import yaml\nyaml.load(text, Loader=yaml.SafeLoader)",
        "import numpy as np\nnp.load(path)",
        "import numpy\nnumpy.load(path, allow_pickle=True)",
        "def f():\n    from joblib import load",
        "import dill",
        "eval(text)",
        "x = exec",
    ],
)
def test_what_could_is_found(line: str) -> None:
    assert list(unsafe(line))


@pytest.mark.parametrize(
    "line",
    [
        "import torch\ntorch.load(path, weights_only=True, mmap=True)",
        "import numpy as np\nnp.load(file, allow_pickle=False)",
        "trainer.fit(module, ckpt_path=path, weights_only=True)\ntrainer.fit(module)",
        "import pickle\npickle.dumps(x), pickle.UnpicklingError",
        "import yaml\nyaml.safe_load(text)",
        "import json\njson.loads(text)\nnet.eval()",
    ],
)
def test_what_could_not_is_not(line: str) -> None:
    assert not list(unsafe(line))
