"""The search as a command, on handwritten digits."""

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from src.config.resolvers import CONF_DIR
from src.notebook import compose, train
from src.runs.summary import read_summary
from src.tune import command as tune

TINY = ["data=digits", "model.width=4", "model.strides=[2,2,2,2]", "trainer=cpu", "callbacks=none"]
TINY += ["logger=none", "trainer.max_epochs=2", "trainer.limit_train_batches=8"]
# A process that hangs in its first trial, after the first epoch
HANGS = """
import sys, time
from src.tune.study import Pruning
Pruning.on_validation_end = lambda *_: (print("in the middle", flush=True), time.sleep(600))
from src.tune import command as tune
tune.main(sys.argv[1:])
"""


def start(code: str, args: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        cwd=CONF_DIR.parent,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    assert any(words in line for line in process.stdout), f"ended without saying {words!r}"


def table(study: Path) -> list[dict[str, str]]:
    with (study / "trials.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_two_processes_one_killed_and_the_best_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "outputs" / "train" / "tune" / "shared"
    space = tmp_path / "mine.yaml"
    space.write_text("optimizer: choice(sgd, adam)\noptimizer.lr: tag(log, interval(0.003, 0.1))\n")
    args = [*TINY, f"search={space}", "study=shared", "trials=4"]
    other = start(HANGS, args)
    # This process comes to wait for the other's trial
    monkeypatch.setattr("src.tune.study.time", SimpleNamespace(sleep=lambda _: other.kill()))
    try:
        until(other, "in the middle")
        assert tune.main(args) == 0
    finally:
        other.kill()
        other.communicate()
    said = capsys.readouterr().out
    assert "waiting for trials that other processes run: 0\n" in said
    assert said.index("waiting for") < said.index("trial 0 was not finished: it is repeated\n")
    assert "trials: 4 completed, 1 lost\n" in said

    found = table(study)
    assert [row["state"] for row in found] == ["lost", *["completed"] * 4]
    values = [tuple(row[key] for key in ("optimizer", "optimizer.lr")) for row in found]
    assert values[4] == values[0]
    assert len(set(values)) == 4
    runs = {int(folder.name.split("_")[0]): folder for folder in study.glob("[0-9]*_*")}
    assert read_summary(runs[0])["status"] == "running"
    for number in range(1, 5):
        facts = read_summary(runs[number])
        assert facts["status"] == "completed"
        assert "test/acc" not in facts, "the test set chooses nothing"
        assert float(found[number]["val/acc"]) == facts["val/acc"]

    (command,) = re.findall(r"^best: +python -m src.train (.*)$", said, re.MULTILINE)
    assert shlex.split(command)[: len(TINY)] == TINY
    again = read_summary(train(compose(*shlex.split(command))))
    assert again["val/acc"] == max(float(row["val/acc"]) for row in found[1:])
    assert again["val/loss"] in {read_summary(runs[number])["val/loss"] for number in range(1, 5)}
    assert "test/acc" in again

    assert "optimizer.lr" in (study / "study.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_ctrl_c_leaves_everything_and_the_same_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / "mine.yaml"
    space.write_text("optimizer.lr: tag(log, interval(0.01, 0.1))\n")
    args = [*TINY, f"search={space}", "trials=1"]
    process = start(HANGS, args)
    until(process, "in the middle")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert "stopped: the same command resumes it." in said
    assert "Traceback" not in said
    (study,) = (tmp_path / "outputs" / "train" / "tune").iterdir()
    assert study.name.startswith("search=mine,data=digits,width=4,strides=2,2,2,2,trainer=cpu")
    (row,) = table(study)
    assert row["state"] == "unfinished"

    assert tune.main(args) == 0
    assert "trial 1 (1 of 1): optimizer.lr=" + row["optimizer.lr"] in capsys.readouterr().out
    assert [found["state"] for found in table(study)] == ["lost", "completed"]


@pytest.mark.slow
def test_trials_that_all_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Only a run can know that the digits have ten classes
    assert (
        tune.main([*TINY, "data.num_classes=7", "search=schedule", "trials=2", f"study={tmp_path / 'mine'}"])
        == 1
    )
    said = capsys.readouterr().out
    assert "trials: 2 failed\n" in said
    assert said.endswith(f"error: no trial was completed: see {tmp_path / 'mine' / 'trials.csv'}.\n")
    for row in table(tmp_path / "mine"):
        assert row["reason"].startswith("data.num_classes=7, but the training data has 10")


def test_arguments_that_cannot_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = {
        "trials must be a whole number from 1: got 0.": ["trials=0"],
        "trials must be a whole number from 1: got many.": ["trials=many"],
        "search=sdg does not exist. Did you mean search=sgd? Valid: default, schedule, sgd, or a .yaml "
        "file.": ["search=sdg"],
        "trial does not exist. Did you mean trials?": ["trial=30"],
        "cannot read '-m': arguments are written key=value.": ["-m"],
        "ckpt_path plays no part: a trial starts from fresh weights. Leave it out.": ["ckpt_path=x"],
        "trials are chosen by val/acc: data.num_val and trainer.limit_val_batches must be above 0.": [
            "data.num_val=0"
        ],
        "norm=lnn does not exist. Did you mean norm=ln? Valid: bn, gn, in, ln, ln2d, none.": ["norm=lnn"],
        "a trial trains on one device: got trainer.devices=auto trainer.strategy=ddp. Start the same command "
        "once a device instead.": ["trainer=ddp"],
    }
    for words, args in lines.items():
        with pytest.raises(SystemExit) as stopped:
            tune.main(args)
        assert stopped.value.code == 2
        assert capsys.readouterr().err == f"error: {words}\n"
    assert not (tmp_path / "outputs").exists(), "nothing was begun"


def test_a_study_takes_only_the_command_that_began_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "mine"
    study.mkdir()
    space = tmp_path / "space.yaml"
    space.write_text("optimizer.lr: interval(0.01, 0.1)\n")
    begun = [*TINY, f"search={space}", f"study={study}", "trials=1"]
    assert tune.main([*begun, "data.num_classes=7"]) == 1
    facts = json.loads((study / "study.json").read_text())
    assert facts["space"]["optimizer.lr"]["attributes"] == {
        "low": 0.01, "high": 0.1, "log": False, "step": None,
    }  # fmt: skip
    capsys.readouterr()
    for other in ([], ["data.num_classes=7", "optimizer.momentum=0.5"]):
        with pytest.raises(SystemExit) as stopped:
            tune.main([*begun, *other])
        assert stopped.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith(f"error: {study} was begun by another command: python -m src.tune data=digits")
        assert said.endswith("Repeat it, or give another study=<name>.\n")
        assert said.count("\n") == 1


def test_arguments_are_refused_before_torch_is_imported_and_help_lists_the_searches() -> None:
    code = (
        "import sys; from src.tune import command as tune\n"
        "tune.main(['--help'])\n"
        "try: tune.main(['search=sdg'])\n"
        "except SystemExit: print([m for m in ('torch', 'lightning', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CONF_DIR.parent, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "[]"
    assert "  default         SGD or AdamW, its learning rate and weight decay, and label smoothing" in lines
    assert len(done.stderr.splitlines()) == 1
