"""Several processes, as people start them: the same training as one process, and no image lost or doubled."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.config.resolvers import CONF_DIR
from src.evaluate import main as evaluate
from src.runs.summary import read_summary

pytestmark = pytest.mark.slow

DDP = ["trainer=ddp", "trainer.accelerator=cpu", "data.num_workers=0"]
ONE_EPOCH = "trainer.max_epochs=1"


def command(*args: str, tmp_path: Path, check: bool = True) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Run the command in a process of its own; the run's folder, and what it said."""
    out = tmp_path / "ddp"
    done = subprocess.run(
        [sys.executable, "-m", "src.train", *DDP, *args],
        cwd=CONF_DIR.parent,
        env=os.environ | {"OUTPUT_DIR": str(out), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == check, done.stdout + done.stderr
    (run_dir,) = (out / "train" / "runs").iterdir()
    return run_dir, done


def rows(run_dir: Path, name: str) -> list[dict[str, str]]:
    with (run_dir / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    content = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    return {name: value for name, value in content["state_dict"].items() if name.startswith("net.")}


def test_two_processes_train_as_one_with_twice_the_batch(
    run_tiny: Callable[..., Path], tmp_path: Path
) -> None:
    # In double precision: rounding cannot hide, or stand for, another image or another draw
    same = [
        ONE_EPOCH,
        "data=digits",
        "augment=standard",
        "norm=ln",
        "model.width=4",
        "model.strides=[2,2,2,1]",
    ]
    same += [
        "trainer.limit_train_batches=20",
        "trainer.precision=64-true",
        "callbacks.updates.every_n_steps=5",
    ]
    two, done = command(*same, "trainer.devices=2", "data.batch_size=8", tmp_path=tmp_path)
    one = run_tiny(*same, "data.batch_size=16")

    assert "Warning" not in done.stdout + done.stderr
    assert done.stdout.count("epoch 1/1") == 1
    assert [path.name for path in two.glob("*.log")] == ["train.log"]
    assert weights(two).keys() == weights(one).keys()
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(two)[name], value, rtol=0, atol=1e-9, msg=name)

    assert rows(two, "predictions.csv") == rows(one, "predictions.csv")
    facts, expected = read_summary(two), read_summary(one)
    for key in ("train/loss", "train/acc", "val/loss", "val/acc", "test/loss", "test/acc", "test/ece"):
        assert facts[key] == pytest.approx(expected[key], abs=1e-6), key
    assert facts["train_images"] == expected["train_images"] == 20 * 16
    moved = [[float(row["update"]) for row in rows(run, "updates.csv")] for run in (two, one)]
    np.testing.assert_allclose(moved[0], moved[1], rtol=1e-6)
    assert {path.name for path in two.glob("*.png")} == {path.name for path in one.glob("*.png")}


def test_three_processes_count_each_of_10000_test_images_once(tmp_path: Path) -> None:
    # 10,000 is not divisible by 3: shares of 3334, 3333 and 3333 images in batches of 1111, so 4, 3 and 3
    args = ["data=squares", "data.num_test=10000", "data.num_val=100", "data.num_train=400", "norm=ln"]
    args += [
        "data.image_size=24",
        "data.batch_size=1111",
        "model.width=1",
        "model.strides=[4,2,2,2]",
        ONE_EPOCH,
    ]
    keep = [f"~callbacks.{name}" for name in ("misclassified", "grad_cam", "evidence", "projector")]
    run_dir, _ = command(*args, *keep, "trainer.devices=3", tmp_path=tmp_path)

    said = rows(run_dir, "predictions.csv")
    assert [int(row["index"]) for row in said] == list(range(10_000))
    facts = read_summary(run_dir)
    right = sum(row["label"] == row["prediction"] for row in said)
    assert facts["test/acc"] == pytest.approx(right / 10_000, abs=1e-6)
    assert facts["test/loss"] == pytest.approx(np.mean([float(row["loss"]) for row in said]), abs=1e-5)

    assert evaluate([f"run={run_dir}", "callbacks=none", "logger=none", f"out={tmp_path / 'one'}"]) == 0
    alone: dict[str, Any] = json.loads((tmp_path / "one" / "summary.json").read_text())
    assert facts["test/acc"] == pytest.approx(alone["test/acc"], abs=1e-6)
    assert facts["test/loss"] == pytest.approx(alone["test/loss"], abs=1e-5)


def test_a_failure_in_one_process_ends_all_with_one_line(tmp_path: Path) -> None:
    args = [ONE_EPOCH, "data=digits", "model.width=4", "callbacks=training", "trainer.devices=2"]
    fail = "+callbacks.fail={_target_: tests.engine.probes.FailIn, rank: 1, step: 2}"
    run_dir, done = command(*args, fail, tmp_path=tmp_path, check=False)
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if "error" in line.lower()]
    assert line.startswith("error: process 1 has had enough.")
    assert "Traceback" not in done.stdout + done.stderr
    assert read_summary(run_dir)["status"] == "failed: process 1 has had enough."
    assert "tests/engine/probes.py" in (run_dir / "traceback.txt").read_text()
