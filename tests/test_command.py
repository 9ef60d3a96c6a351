"""The command as people type it, in processes of its own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from src.config.resolvers import CONF_DIR
from src.runs.curves import read_metrics

pytestmark = pytest.mark.slow

ONE_STEP = ["data=digits", "model.width=8", "trainer.max_epochs=1", "trainer.accelerator=cpu"]
ONE_STEP += ["trainer.limit_train_batches=1"]


def command(*args: str, tmp_path: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "src.train", *args],
        cwd=CONF_DIR.parent,
        env=os.environ | {"OUTPUT_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=check,
    )


def summaries(tmp_path: Path) -> dict[str, dict[str, object]]:
    """Folder name -> summary, of every run below."""
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(tmp_path.rglob("summary.json"))}


def test_quickstart_learns_the_digits(tmp_path: Path) -> None:
    done = command("experiment=quickstart", tmp_path=tmp_path)
    ((name, facts),) = summaries(tmp_path).items()
    assert facts["status"] == "completed"
    assert float(str(facts["test/acc"])) >= 0.97
    (run,) = (tmp_path / "quickstart" / "runs").iterdir()
    losses = [value for _, value in read_metrics(run / "metrics.csv")["val/loss"]]
    assert len(losses) == 20
    assert max(losses) < 3  # the first curves that anyone sees are those of a textbook; log 10 = 2.3
    assert "hint" not in done.stdout
    lines = done.stdout.splitlines()
    assert any(line.split()[:2] == ["test", "accuracy"] for line in lines)
    assert any(line.startswith("run folder:") and name in line for line in lines)
    assert lines[-1].endswith(f"tensorboard --logdir {tmp_path}")
    assert "Warning" not in done.stdout + done.stderr


def test_sweep_runs_every_job_and_says_that_one_failed(tmp_path: Path) -> None:
    # 1,437 training images cannot spare a validation set of 1,436: only the job itself can know
    done = command("-m", *ONE_STEP, "norm=ln,bn", "data.num_val=180,1436", tmp_path=tmp_path, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    found = summaries(tmp_path)
    assert [str(facts["status"]).split(":")[0] for facts in found.values()] == ["completed", "failed"] * 2
    assert [name.split("_")[0] for name in found] == ["0", "1", "2", "3"]
    assert all("norm=ln" in name for name in list(found)[:2])
    (sweep,) = (tmp_path / "train" / "multiruns").glob("*/")
    assert {path.name for path in sweep.iterdir() if path.is_dir()} == {*found}


def test_runs_of_one_second_do_not_collide(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "src.train", *ONE_STEP],
            cwd=CONF_DIR.parent,
            env=os.environ | {"OUTPUT_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    assert [process.wait() for process in processes] == [0, 0]
    assert [facts["status"] for facts in summaries(tmp_path).values()] == ["completed"] * 2


def test_ctrl_c_leaves_an_honest_summary_and_the_last_checkpoint(tmp_path: Path) -> None:
    endless = ["data=digits", "model.width=8", "trainer.max_epochs=500", "trainer.accelerator=cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "src.train", *endless],
        cwd=CONF_DIR.parent,
        env=os.environ | {"OUTPUT_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 2/500"):
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    ((_, facts),) = summaries(tmp_path).items()
    assert facts["status"] == "failed: interrupted"
    assert int(str(facts["epochs"])) >= 2
    assert len(list(tmp_path.rglob("last.ckpt"))) == 1


@pytest.mark.parametrize("override", ["data.num_val=1436", "data.num_classes=9"])
def test_a_failing_run_ends_in_one_line_and_exit_code_1(override: str, tmp_path: Path) -> None:
    done = command(*ONE_STEP, override, tmp_path=tmp_path, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr == "", "Hydra adds nothing"
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("error:")]
    assert override.partition("=")[0] in line


def test_a_run_folder_alone_goes_on(tmp_path: Path) -> None:
    command(*ONE_STEP, "norm=gn", "scheduler=constant", tmp_path=tmp_path)
    (first,) = (tmp_path / "train" / "runs").iterdir()
    command(f"ckpt_path={first}", "trainer.max_epochs=3", tmp_path=tmp_path)
    facts = list(summaries(tmp_path).values())[-1]
    assert facts["status"] == "completed"
    assert facts["epochs"] == 3
    assert "norm=gn" in str(facts["overrides"])
