"""A run that was cut off continues in its own folder, and ends as if nothing had been.

A kill is what it leaves on the disk: copies of a run's folder at chosen moments, made while the run that
nothing disturbs continues beside them.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from src.callbacks.checkpoint import RunCheckpoint
from src.config.cli import RunFailed
from src.notebook import Experiment, compose
from src.runs import checkpoint_file
from src.runs.checkpoint_file import WholeCheckpoints, resume_point
from src.runs.summary import read_summary
from src.train import train
from tests.conftest import TINY
from tests.same_run import differences, rows, state

NUM_STEPS = 4  # an epoch
SHORT = [
    *TINY,
    *("data=digits", "data.batch_size=64", "model.width=4", "model.strides=[2,2,2,2]", "callbacks=training"),
    *("trainer.max_epochs=5", "trainer.limit_train_batches=4", "trainer.log_every_n_steps=2"),
    "callbacks.updates.every_n_steps=3",
]
VARIANTS = [
    ["norm=bn", "optimizer=adamw", "optimizer.lr=0.01", "scheduler=onecycle", "average=ema"],
    # the rate falls after epochs 2 and 4 if no epoch may pass without a rise of a whole accuracy
    ["norm=ln", "optimizer=sgd", "scheduler=plateau", "scheduler.patience=0", "+scheduler.threshold=1.0"],
    ["optimizer=muon", "scheduler=triangular", "module.lr_factors.head=2.0", "average=lookahead"],
]
MID_EPOCH = [
    [*VARIANTS[0], "trainer.max_epochs=3"],
    [*VARIANTS[1], "trainer.max_epochs=3", "data.num_workers=2"],
    [*VARIANTS[2], "trainer.max_epochs=3", "select=hardest", "resize=progressive"],
    [
        "optimizer=adam",
        "scheduler=cosine",
        "trainer.accumulate_grad_batches=2",
        "trainer.max_epochs=3",
        "trainer.limit_train_batches=8",
    ],
]
# the loss on the training images falls in every epoch, so that each epoch is the best so far
LAST_IS_BEST = ["callbacks.best.monitor=train/loss", "+callbacks.best.mode=min"]
IDS = ["bn-adamw-onecycle-ema", "ln-sgd-plateau", "muon-triangular-lookahead"]


def run(experiment: Experiment, folder: Path) -> Path:
    """Train in this folder, as the command does."""
    folder.mkdir(parents=True, exist_ok=True)
    cfg = experiment.cfg.copy()
    cfg.paths.run_dir = str(folder)
    return train(cfg, overrides=experiment.overrides, options=experiment.options)


def copies_at(steps: dict[str, int], tmp_path: Path) -> list[str]:
    """Overrides that copy the folder of the run in `tmp_path/whole` after these steps."""
    return [
        f"+callbacks.copy_{name}={{_target_: tests.engine.stop.CopyFolder, folder: '{tmp_path}/whole', "
        f"to: '{tmp_path}/{name}', step: {step}}}"
        for name, step in steps.items()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS, ids=IDS)
def test_a_run_killed_anywhere_ends_as_an_undisturbed_one(variant: list[str], tmp_path: Path) -> None:
    killed = {"first_epoch": 2, "in_the_middle": 2 * NUM_STEPS + 3, "epoch_begins": 4 * NUM_STEPS + 1}
    whole = run(compose(*SHORT, *variant, *copies_at(killed, tmp_path)), tmp_path / "whole")
    points = {name: resume_point(tmp_path / name) for name in killed}
    assert [point and point.step for point in points.values()] == [None, 2 * NUM_STEPS, 4 * NUM_STEPS]
    if "scheduler=plateau" in variant:
        lrs = [row["lr"] for row in rows(whole / "updates.csv") if row["layer"] == "all"]
        assert len(set(lrs)) >= 3, "the schedule must have moved for this to say anything"
    for name in killed:
        before = read_summary(tmp_path / name)
        assert before["status"] == "running"
        got = run(compose(*SHORT, *variant), tmp_path / name)
        assert differences(got, whole) == []
        assert len(rows(got / "metrics.csv")) > 5 * (NUM_STEPS // 2 + 2), "steps, val and train of 5 epochs"


@pytest.mark.slow
def test_max_steps_end_no_epoch_twice(tmp_path: Path) -> None:
    variant = [*VARIANTS[0], "trainer.max_steps=10"]
    whole = run(compose(*SHORT, *variant, *copies_at({"killed": 6}, tmp_path)), tmp_path / "whole")
    point = resume_point(tmp_path / "killed")
    assert point is not None
    assert point.step == NUM_STEPS
    assert differences(run(compose(*SHORT, *variant), tmp_path / "killed"), whole) == []


@pytest.mark.slow
@pytest.mark.parametrize("variant", MID_EPOCH, ids=lambda variant: variant[0])
def test_a_run_goes_on_in_the_middle_of_an_epoch(variant: list[str], tmp_path: Path) -> None:
    """Checkpoints lie after steps 2, 6, 10 of epochs of four steps, and after epochs."""
    variant = [*variant, "callbacks.last.every_n_steps=2"]
    killed = {"second_epoch": 7, "last_step": 12, "first_epoch": 3}
    whole = run(compose(*SHORT, *variant, *copies_at(killed, tmp_path)), tmp_path / "whole")
    points = {name: resume_point(tmp_path / name) for name in killed}
    assert [point and point.step for point in points.values()] == [6, 10, 2]
    for name in killed:
        got = run(compose(*SHORT, *variant), tmp_path / name)
        assert differences(got, whole) == []


@pytest.mark.slow
def test_a_damaged_checkpoint_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    variant = [*MID_EPOCH[0], *LAST_IS_BEST, "callbacks.last.every_n_steps=2"]
    whole = run(compose(*SHORT, *variant, *copies_at({"killed": 11}, tmp_path)), tmp_path / "whole")
    shutil.copytree(tmp_path / "killed", tmp_path / "lost")
    flip(tmp_path / "killed" / "checkpoints" / "last.ckpt")
    flip(tmp_path / "killed" / "checkpoints" / "best.ckpt")
    point = resume_point(tmp_path / "killed")
    assert point is not None
    assert (point.path.name, point.step) == ("previous.ckpt", 8)
    got = run(compose(*SHORT, *variant), tmp_path / "killed")
    assert differences(got, whole) == []
    said = [record.message for record in caplog.records if "is damaged (" in record.message]
    assert [Path(line.split(" is damaged")[0]).name for line in said] == ["last.ckpt", "best.ckpt"]

    for name in ("last", "best", "previous"):
        flip(tmp_path / "lost" / "checkpoints" / f"{name}.ckpt")
    before = sorted((tmp_path / "lost").rglob("*"))
    with pytest.raises(RunFailed):
        run(compose(*SHORT, *variant), tmp_path / "lost")
    assert "are damaged: nothing to resume from" in caplog.records[-1].message
    assert sorted((tmp_path / "lost").rglob("*")) == before


def flip(path: Path) -> None:
    """Change a bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.slow
def test_a_kill_between_best_and_last_goes_on_from_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = WholeCheckpoints.save_checkpoint
    saved: list[int] = []

    def save_and_copy(self: Any, checkpoint: dict[str, Any], path: Path, *args: Any, **kwargs: Any) -> None:
        save(self, checkpoint, path, *args, **kwargs)
        if Path(path).name == "best.ckpt" and checkpoint["global_step"] > NUM_STEPS and not saved:
            saved.append(checkpoint["global_step"])
            shutil.copytree(tmp_path / "whole", tmp_path / "killed")

    monkeypatch.setattr(WholeCheckpoints, "save_checkpoint", save_and_copy)
    variant = [*VARIANTS[0], *LAST_IS_BEST]
    whole = run(compose(*SHORT, *variant), tmp_path / "whole")
    (step,) = saved
    assert state(tmp_path / "killed", "last")["global_step"] == step - NUM_STEPS
    point = resume_point(tmp_path / "killed")
    assert point is not None
    assert (point.path.name, point.step) == ("best.ckpt", step)
    assert differences(run(compose(*SHORT, *variant), tmp_path / "killed"), whole) == []


@pytest.mark.slow
def test_a_kill_in_the_test_leaves_nothing_to_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = ["callbacks=early_stopping", "callbacks.early_stopping.patience=1", "trainer.max_epochs=8"]
    stop += ["+callbacks.early_stopping.min_delta=1.0"]  # never reached: stops after epoch 2
    only = [o for o in SHORT if not o.startswith(("callbacks", "trainer.max_epochs"))]
    start = RunCheckpoint.on_test_start

    def copy(self: Any, *args: Any) -> None:
        if not (tmp_path / "killed").exists():
            shutil.copytree(tmp_path / "whole", tmp_path / "killed")
        start(self, *args)

    monkeypatch.setattr(RunCheckpoint, "on_test_start", copy, raising=False)
    whole = run(compose(*only, *stop), tmp_path / "whole")
    assert read_summary(whole)["epochs"] == 2
    got = read_summary(run(compose(*only, *stop), tmp_path / "killed"))
    for key in ("epochs", "val/acc", "test/acc", "test/loss", "train_seconds"):
        assert got[key] == read_summary(whole)[key], key
    assert rows(tmp_path / "killed" / "metrics.csv") == rows(whole / "metrics.csv")


def test_a_kill_while_a_checkpoint_is_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"global_step": 1}, path)

    def half(_: Any, file: Any) -> None:
        file.write(b"half a checkpo")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        WholeCheckpoints().save_checkpoint({"global_step": 2}, path)
    assert torch.load(path, weights_only=True) == {"global_step": 1}
    monkeypatch.undo()
    WholeCheckpoints().save_checkpoint({"global_step": 3}, path)
    assert torch.load(path, weights_only=True) == {"global_step": 3}
    assert torch.load(tmp_path / "previous.ckpt", weights_only=True) == {"global_step": 1}
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"last.ckpt", "previous.ckpt", "SHA256SUMS"}


def test_a_file_that_looks_like_an_earlier_one_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inode is used again, and a clock ticks every few milliseconds."""
    monkeypatch.setattr(checkpoint_file, "state", lambda _: (0,))
    monkeypatch.setattr(checkpoint_file, "DIGESTS", {})
    for step in (1, 2):
        WholeCheckpoints().save_checkpoint({"global_step": step}, tmp_path / "best.ckpt")
        assert torch.load(tmp_path / "best.ckpt", weights_only=True) == {"global_step": step}
