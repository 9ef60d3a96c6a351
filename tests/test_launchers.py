"""Sweeps in parallel, as people start them: joblib, submitit on this machine, and a pretended SLURM."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from joblib import cpu_count

from src.config.console import TqdmHandler
from src.config.resolvers import CONF_DIR

TINY = [
    "data=digits",
    "data.num_workers=0",
    "model.width=4",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
]
TINY += ["trainer.limit_train_batches=1", "callbacks=training", "~callbacks.updates"]
TINY += ["+callbacks.threads={_target_: tests.engine.probes.NoteThreads, folder: '${paths.run_dir}'}"]


def start(*args: str, tmp_path: Path, **env: str) -> "subprocess.Popen[str]":
    """Start a sweep in a session of its own, as on a machine where nobody limits torch's threads."""
    surroundings = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    return subprocess.Popen(
        [sys.executable, "-m", "src.train", "-m", *args],
        cwd=CONF_DIR.parent,
        env=surroundings | {"OUTPUT_DIR": str(tmp_path)} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def found(tmp_path: Path, name: str) -> dict[str, str]:
    """Job number -> content of a file in its folder."""
    folders = (tmp_path / "train" / "multiruns").glob("*/[0-9]_*")
    return {folder.name[0]: (folder / name).read_text() for folder in sorted(folders)}


def statuses(tmp_path: Path) -> list[str]:
    return [json.loads(text)["status"] for text in found(tmp_path, "summary.json").values()]


def alive(group: int) -> bool:
    """Whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_joblib_shares_out_cores_and_goes_on_behind_a_failure(tmp_path: Path) -> None:
    # 1,437 training images cannot spare a validation set of 1,436: only the job itself can know
    process = start(
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        *TINY,
        "data.num_val=1436,180,181",
        tmp_path=tmp_path,
    )
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "Traceback" not in out + err
    failed, *others = statuses(tmp_path)
    assert failed.startswith("failed: data.num_val must be 0")
    assert others == ["completed", "completed"]
    said = [line for line in out.splitlines() if "epoch 1/1" in line]
    assert sorted(line[:4] for line in said) == ["[1] ", "[2] "]
    assert "epoch 1/1" in found(tmp_path, "train.log")["2"]
    (sweep,) = (tmp_path / "train" / "multiruns").glob("[0-9]*")
    threads = [path.read_text() for path in sweep.glob("*/threads")]
    assert threads == [str(max(1, cpu_count() // 2))] * 2


@pytest.mark.slow
def test_ctrl_c_stops_every_job(tmp_path: Path) -> None:
    endless = [*TINY, "trainer.max_epochs=500", "seed=0,1"]
    process = start("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *endless, tmp_path=tmp_path)
    # both train: Python itself prints what interrupts an import
    while process.poll() is None and len(list(tmp_path.rglob("last.ckpt"))) < 2:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    assert [line for line in err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in err
    deadline = time.monotonic() + 20
    while alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not alive(process.pid)


@pytest.mark.slow
def test_submitit_on_this_machine(tmp_path: Path) -> None:
    args = ["hydra/launcher=submitit_local", *TINY, "norm=bn,ln"]
    process = start(*args, tmp_path=tmp_path)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert statuses(tmp_path) == ["completed", "completed"]
    assert list(found(tmp_path, "threads").values()) == ["1", "1"]
    assert "norm=ln" in next(line for line in out.splitlines() if line.startswith("\t#1"))
    logs = [path.read_text() for path in tmp_path.rglob(".submitit/*/*_log.out")]
    assert [log.count("epoch 1/1") for log in logs] == [1, 1]


SBATCH = """\
#!/bin/bash
cp "$1" {folder}/batch.sh
for task in 0 1; do
  SLURM_ARRAY_JOB_ID=4242 SLURM_ARRAY_TASK_ID=$task SLURM_JOB_ID=4242$task bash "$1" > /dev/null 2>&1 &
done
echo Submitted batch job 4242
"""
SRUN = """\
#!/bin/bash
# srun --unbuffered --output <file> --error <file> <command>
export SLURM_NTASKS=1 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0 SLURM_JOB_NUM_NODES=1
"${@:6}" > {folder}/out$SLURM_ARRAY_TASK_ID 2> {folder}/err$SLURM_ARRAY_TASK_ID
"""
SACCT = "#!/bin/bash\necho 'JobID|State|NodeList'\n"


@pytest.mark.slow
def test_slurm_gets_one_array_for_the_sweep(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT)):
        (programs / name).write_text(script.replace("{folder}", str(tmp_path)))
        (programs / name).chmod(0o755)
    args = ["hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=90", "hydra.launcher.mem_gb=8"]
    args += [
        "hydra.launcher.cpus_per_task=1",
        "hydra.launcher.partition=gpu",
        "hydra.launcher.array_parallelism=1",
    ]
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    process = start(*args, *TINY, "norm=bn,ln", tmp_path=tmp_path, PATH=path)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err + (tmp_path / "err0").read_text()

    (sweep,) = (tmp_path / "train" / "multiruns").glob("[0-9]*")
    lines = (tmp_path / "batch.sh").read_text().splitlines()
    given = dict(
        line.removeprefix("#SBATCH --").split("=", 1) for line in lines if line.startswith("#SBATCH")
    )
    assert given["array"] == "0-1%1"
    assert given["time"] == "90"
    assert given["mem"] == "8GB"
    assert given["cpus-per-task"] == "1"
    assert given["gpus-per-node"] == "1"
    assert given["ntasks-per-node"] == "1"
    assert given["partition"] == "gpu"
    assert given["job-name"] == "train"
    assert given["output"].startswith(f"{sweep}/.submitit/%A_%a/")
    assert statuses(tmp_path) == ["completed", "completed"]
    assert list(found(tmp_path, "threads").values()) == ["1", "1"]


def test_jobs_that_share_a_terminal_say_which_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = logging.LogRecord("", logging.INFO, "", 0, "one\n\ntwo", None, None)
    TqdmHandler(job=3).emit(record)
    assert capsys.readouterr().out == "one\n\ntwo\n"
    monkeypatch.setattr("src.config.console.shares_terminal", lambda: True)
    TqdmHandler(job=3).emit(record)
    assert capsys.readouterr().out == "[3] one\n[3] \n[3] two\n"
