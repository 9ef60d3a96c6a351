"""Commands that are forked do what commands in a process of their own do."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT, Commands, Done

STEP = ["data=digits", "model.width=8", "model.strides=[2,2,2,2]", "trainer.max_epochs=1", "trainer=cpu"]
STEP += ["trainer.limit_train_batches=1", "callbacks=training"]


TIMES = re.compile("time|images/s|epoch 1")  # what no two runs have in common


def plain_process(*args: str, env: dict[str, str]) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", *args],
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
def test_a_forked_training_is_that_of_a_plain_process(commands: Commands, tmp_path: Path) -> None:
    found = []
    for name, run in (("plain", plain_process), ("forked", commands.run)):
        done = run("src.train", *STEP, env={"OUTPUT_DIR": str(tmp_path / name), "OMP_NUM_THREADS": "1"})
        (folder,) = (tmp_path / name / "train" / "runs").iterdir()
        said = (done.stdout + done.stderr).replace(str(tmp_path / name), "")
        lines = [line for line in said.replace(folder.name, "").splitlines() if not TIMES.search(line)]
        files = sorted(path.name for path in folder.iterdir() if "tfevents" not in path.name)
        facts = json.loads((folder / "summary.json").read_text())
        found.append((done.code, lines, facts["test/loss"], files))
    assert found[0] == found[1]
    assert found[0][0] == 0


@pytest.mark.parametrize(
    "args",
    [
        ["src.train", "norm=lm"],
        ["src.compare"],
        ["src.plot_schedule", "--help"],
        ["json.tool", "--no-such-flag"],
    ],
)
def test_exit_code_and_words_are_those_of_a_plain_process(args: list[str], commands: Commands) -> None:
    done, plain = commands.run(*args), plain_process(*args, env={})
    assert (done.code, done.stdout, done.stderr) == (plain.code, plain.stdout, plain.stderr)


def test_a_command_streams_and_can_be_killed(commands: Commands, tmp_path: Path) -> None:
    long = [arg for arg in STEP if "max_epochs" not in arg] + ["trainer.max_epochs=500"]
    with commands.start("src.train", *long, env={"OUTPUT_DIR": str(tmp_path)}) as running:
        for line in running.lines():
            if line.startswith("epoch 2/"):
                os.kill(running.pid, signal.SIGKILL)
        done = running.wait()
    assert done.code == -signal.SIGKILL
    assert len(list(tmp_path.rglob("last.ckpt"))) == 1
    with commands.start("src.train", *long, env={"OUTPUT_DIR": str(tmp_path)}) as running:
        pass  # the end of the block kills
    assert running.code == -signal.SIGKILL
