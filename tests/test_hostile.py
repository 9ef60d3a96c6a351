"""Runs and files from strangers: whatever they hold, no command calls it: a file must not appear."""

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from src.config.errors import ConfigError
from src.export.formats import from_safetensors
from src.runs.checkpoint_file import SUMS
from tests.bad_inputs import make_run
from tests.commands import Commands

QUIET = ["callbacks=none", "logger=none"]
READERS = {
    "train": ["src.train", "ckpt_path=<run>"],
    "train from the file": [
        "src.train",
        "experiment=quickstart",
        "model.width=8",
        "ckpt_path=<run>/checkpoints/last.ckpt",
    ],
    "evaluate": ["src.evaluate", "run=<run>", *QUIET],
    "explain": ["src.explain", "run=<run>", "images=0"],
    "landscape": ["src.landscape", "run=<run>", "points=3", "images=8"],
    "landscape to": ["src.landscape", "run=<good>", "to=<run>", "points=3", "images=8"],
}


class Hostile:
    """Unpickled, it makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.trace}'",)


@dataclass(frozen=True)
class Place:
    """A run, a copy of it that a test makes hostile, and the file that must not appear."""

    good: Path
    run: Path
    trace: Path
    commands: Commands


@pytest.fixture(scope="module")
def finished(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("finished") / "run"
    make_run(commands, place)
    return place


@pytest.fixture
def place(finished: Path, commands: Commands, tmp_path: Path) -> Place:
    return Place(finished, Path(shutil.copytree(finished, tmp_path / "run")), tmp_path / "trace", commands)


def refused(place: Place, reader: str, *, code: int) -> str:
    """The line of a command that refuses, and has called nothing."""
    typed = [
        arg.replace("<run>", str(place.run)).replace("<good>", str(place.good)) for arg in READERS[reader]
    ]
    env = {"OUTPUT_DIR": str(place.run.parent / "outputs"), "OMP_NUM_THREADS": "1"}
    done = place.commands.run(*typed, env=env)
    assert done.code == code, done.stdout + done.stderr
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stdout + done.stderr
    assert not place.trace.exists()
    return line


def plain_pickle(_: dict[str, Any], bad: Hostile, path: Path) -> None:
    path.write_bytes(pickle.dumps(bad))


def data_pkl(content: dict[str, Any], bad: Hostile, path: Path) -> None:
    """torch's archive with another pickle in it."""
    torch.save(content, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, pickle.dumps(bad) if name.endswith("/data.pkl") else part)


def in_optimizer(content: dict[str, Any], bad: Hostile, path: Path) -> None:
    content["optimizer_states"][0]["state"][0]["momentum_buffer"] = bad
    torch.save(content, path)


def in_hparams(content: dict[str, Any], bad: Hostile, path: Path) -> None:
    content["hyper_parameters"]["seed"] = bad
    torch.save(content, path)


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("hide", [plain_pickle, data_pkl, in_optimizer, in_hparams])
def test_a_hostile_checkpoint_runs_nothing(
    hide: Callable[[dict[str, Any], Hostile, Path], None], reader: str, place: Place
) -> None:
    (place.run / "checkpoints" / SUMS).unlink()  # a stranger's folder has none, or such that fit
    for path in (place.run / "checkpoints").glob("*.ckpt"):
        hide(torch.load(path, weights_only=True), Hostile(place.trace), path)
    if hide is plain_pickle:
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert place.trace.exists(), "it is hostile indeed"
    place.trace.unlink()
    assert "nothing in it was run" in refused(place, reader, code=1)


CALL = {"_target_": "pathlib.Path.touch", "_args_": [{"_target_": "pathlib.Path", "_args_": ["<trace>"]}]}
TEXT = "{_target_: pathlib.Path.touch, _args_: [{_target_: pathlib.Path, _args_: [<trace>]}]}"
# What a run's configuration could hold: where, and what
PARTS: dict[str, dict[str, Any]] = {
    "a module": {"model": CALL},
    "in a list": {"data": {"source": {"a": [[{"b": CALL}]]}}},
    "under an odd key": {"loss": {"_target_ ": "x", "${x}": CALL, "": CALL}},
    "partial": {"norm": CALL | {"_partial_": True}},
    "oc.create": {"loss": f"${{oc.create:'{TEXT}'}}"},
    "oc.decode": {"loss": f"${{oc.decode:'{TEXT}'}}"},
    "with blanks": {"loss": f"${{ oc.decode : '{TEXT}' }}"},
    "a name by parts": {"data": {"k": "decode"}, "loss": f"${{oc.${{data.k}}:'{TEXT}'}}"},
    "a name from a key": {"data": {"k": "oc.decode"}, "loss": f"${{${{data.k}}:'{TEXT}'}}"},
    "resolved twice": {"data": {"k": "decode"}, "loss": f"\\${{oc.\\${{data.k}}:'{TEXT}'}}"},
    "resolved thrice": {
        "data": {"k": "decode"},
        "loss": f"{chr(92) * 3}${{oc.{chr(92) * 3}${{data.k}}:'{TEXT}'}}",
    },
    "and again": {"data": {"k": "decode"}, "loss": f"{chr(92) * 7}${{oc.{chr(92) * 7}${{data.k}}:'{TEXT}'}}"},
    "a target by reference": {"data": {"k": "pathlib.Path.touch"}, "loss": {"_target_": "${data.k}"}},
    "a folder": {"seed": "${new_folder:<trace>,x}"},
    "a folder by parts": {"data": {"k": "new_folder"}, "seed": "${${data.k}:<trace>,x}"},
}


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("reader", ["evaluate", "explain", "landscape"])
def test_a_hostile_configuration_runs_nothing(kind: str, reader: str, place: Place) -> None:
    path = place.run / ".hydra" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    hostile = yaml.safe_dump(PARTS[kind]).replace("<trace>", str(place.trace))
    for part, value in yaml.safe_load(hostile).items():
        config[part] = config[part] | value if part == "data" else value
    path.write_text(yaml.safe_dump(config))
    assert "nothing was run" in refused(place, reader, code=2)


OVERRIDES = [
    "+callbacks.x={_target_: pathlib.Path.touch, self: <trace>}",
    f"+callbacks.x=${{oc.decode:'{TEXT}'}}",
    "+callbacks.x='${oc.${task_name}:<trace>}'",
    "+callbacks.x='\\${oc.env:<trace>}'",
    "+callbacks.x=[[{_target_: pathlib.Path.touch, self: <trace>}]]",
    "+callbacks.x={'_target_': \"pathlib.Path.touch\"}",
    "+seeds=${new_folder:<trace>,x}",
    "hydra.searchpath=[file://<trace>]",
    "hydra.run.dir=<trace>",
]


@pytest.mark.parametrize("override", OVERRIDES)
def test_hostile_overrides_of_a_run_run_nothing(override: str, place: Place) -> None:
    path = place.run / ".hydra" / "overrides.yaml"
    kept = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump([*kept, override.replace("<trace>", str(place.trace))]))
    assert "nothing was run" in refused(place, "train", code=2)


def test_a_hostile_config_json_is_left_out_and_not_called(place: Place) -> None:
    text = json.dumps({"norm._target_": CALL, "model": CALL, "optimizer.lr": f"${{oc.decode:'{TEXT}'}}"})
    (place.run / "config.json").write_text(text.replace("<trace>", str(place.trace)))
    done = place.commands.run("src.compare", str(place.run), f"out={place.run.parent / 'out'}")
    assert done.code == 1, done.stdout + done.stderr
    assert "config.json is damaged: it is not what summary.json knows the run by" in done.stdout
    assert not place.trace.exists()


def test_a_hostile_array_is_not_opened(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "cifar10h-probs.npy"
    np.save(path, np.array([Hostile(place.trace)], dtype=object), allow_pickle=True)
    np.load(path, allow_pickle=True)
    assert place.trace.exists(), "it is hostile indeed"
    place.trace.unlink()
    done = place.commands.run("src.evaluate", f"run={place.run}", f"triage.cifar10h={path}", "logger=none")
    assert done.code == 1
    assert (done.stdout + done.stderr).count("error: ") == 1
    assert not place.trace.exists()


def test_who_trusts_a_run_can_say_so(place: Place) -> None:
    """`allow=` lets a name be called, that name alone."""
    path = place.run / ".hydra" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["loss"] = {"_target_": "torch.nn.MultiMarginLoss"}
    path.write_text(yaml.safe_dump(config))
    typed = ["src.evaluate", f"run={place.run}", *QUIET]
    for args in (typed, [*typed, "allow=torch.nn.L1Loss"]):
        assert "add allow=torch.nn.MultiMarginLoss" in place.commands.run(*args).stderr
    done = place.commands.run(*typed, "allow=torch.nn.L1Loss,torch.nn.MultiMarginLoss")
    assert done.code == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "model",
    [
        "{_target_: pathlib.Path.touch, _args_: [{_target_: pathlib.Path, _args_: [<canary>]}]}",
        ["_target_: pathlib.Path.touch"],
        {
            "_target_": "torch.nn.Sequential",
            "_args_": [{"_target_": "pathlib.Path.touch", "_args_": ["<canary>"]}],
        },
        {"_target_": "${name}", "name": "pathlib.Path.touch", "_args_": ["<canary>"]},
        None,
    ],
    ids=["a string that OmegaConf reads as YAML", "a list", "inside a list", "an interpolation", "null"],
)
def test_an_exported_file_runs_nothing(model: Any, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    text = json.dumps(model).replace("<canary>", str(canary))
    file = tmp_path / "best.safetensors"
    save_file({"w": torch.zeros(1)}, file, metadata={"model": text})
    with pytest.raises(ConfigError, match="is damaged|would call"):
        from_safetensors(file)
    assert not canary.exists()
