import json
import math
from pathlib import Path

import pytest

from src.runs.checkpoint_file import WholeCheckpoints
from src.runs.curves import draw_curves, read_metrics, read_updates
from src.runs.provenance import provenance
from src.runs.summary import RunSummary, Status, Summary, read_summary
from src.runs.table import results_table, tensorboard_command


def test_summary_is_on_disk_from_the_start(tmp_path: Path) -> None:
    summary = Summary(tmp_path, seed=0)
    assert read_summary(tmp_path) == {"status": "running", "seed": 0}
    with summary.recording():
        summary.update(**{"val/acc": 0.5, "val/loss": math.nan})
        assert read_summary(tmp_path)["status"] == "running"
    assert read_summary(tmp_path) == {"status": "completed", "seed": 0, "val/acc": 0.5, "val/loss": None}
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("two\n  lines"), "failed: two lines"),
        (KeyError("x"), "failed: KeyError: 'x'"),
        (KeyboardInterrupt(), "failed: interrupted"),
        (SystemExit(1), "failed: interrupted"),
    ],
)
def test_summary_says_how_a_run_failed(error: BaseException, status: str, tmp_path: Path) -> None:
    summary = Summary(tmp_path)
    with pytest.raises(type(error)), summary.recording():
        raise error
    assert read_summary(tmp_path)["status"] == status


def test_a_failed_write_leaves_the_old_summary(tmp_path: Path) -> None:
    summary = Summary(tmp_path, seed=1)
    with pytest.raises(TypeError):
        summary.update(bad=object())
    assert read_summary(tmp_path) == {"status": "running", "seed": 1}


def test_no_summary_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no summary.json in .*: is it a run's folder"):
        read_summary(tmp_path)


def test_command_can_be_typed_again() -> None:
    facts = provenance(["norm=ln", "data.root=/my folder"])
    assert facts["command"] == "python -m src.train norm=ln 'data.root=/my folder'"
    json.dumps(facts)


def test_table_leaves_out_what_is_missing() -> None:
    table = results_table({"test/acc": 0.8763, "num_params": 2798698, "val/acc": None})
    assert [line.split() for line in table.splitlines()] == [
        ["test", "accuracy", "87.63%"],
        ["parameters", "2,798,698"],
    ]
    assert tensorboard_command("outputs").endswith("--logdir outputs")


def test_curves_show_the_csv(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "epoch,step,train/acc,train/loss,val/acc,val/loss\n0,9,,,0.25,2.0\n0,9,0.5,1.5,,\n1,19,,,0.75,0.5\n"
    )
    assert read_metrics(tmp_path / "metrics.csv")["val/acc"] == [(1.0, 0.25), (2.0, 0.75)]
    loss, acc = draw_curves(tmp_path).axes
    assert [line.get_ydata().tolist() for line in acc.lines] == [[50.0], [25.0, 75.0]]
    assert [line.get_ydata().tolist() for line in loss.lines] == [[1.5], [2.0, 0.5]]
    with pytest.raises(FileNotFoundError, match="no metrics.csv"):
        draw_curves(tmp_path / "nope")


def test_the_facts_of_a_run_are_typed(tmp_path: Path) -> None:
    summary = Summary(tmp_path, seed=3, options={"norm": "ln"}, overrides=["norm=ln"], git_dirty=True)
    summary.update(epochs=2, **{"val/acc": 0.5, "val/loss": math.nan})
    found = RunSummary.from_facts(read_summary(tmp_path))
    assert (found.status, found.failure, found.completed) == (Status.RUNNING, None, False)
    assert (found.seed, found.options, found.overrides, found.command) == (3, {"norm": "ln"}, ["norm=ln"], "")
    assert found.git_dirty is True
    assert found.numbers == {"seed": 3.0, "epochs": 2.0, "val/acc": 0.5}
    for status, reason, failure in (
        ("failed: no: memory", "no: memory", "no: memory"),
        ("pruned: below", "below", "pruned: below"),
    ):
        summary.update(status=status)
        found = RunSummary.from_facts(read_summary(tmp_path))
        assert (f"{found.status}: {found.reason}", found.reason, found.failure) == (status, reason, failure)


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"status": "lost"},
        {"status": "completed", "seed": "0"},
        {"status": "completed", "options": []},
        {"status": "completed", "overrides": {}},
        {"status": "completed", "device": 3},
    ],
)
def test_facts_of_something_else_are_refused(facts: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="its summary.json is not a run's"):
        RunSummary.from_facts(facts)


def test_metrics_and_updates_are_read_by_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,lr-SGD,step,val/acc\n,0.1,4,\n0,,9,0.25\n,0.05,14,\n")
    assert read_metrics(path, by="step") == {"lr-SGD": [(4.0, 0.1), (14.0, 0.05)], "val/acc": [(9.0, 0.25)]}
    assert read_metrics(path) == {"val/acc": [(1.0, 0.25)]}
    path = tmp_path / "updates.csv"
    path.write_text("step,layer,update,clipped\n0,conv,9,\n0,all,0.5,\n50,all,0.25,1\n")
    assert read_updates(path) == {0.0: 0.5, 50.0: 0.25}


def test_what_a_killed_write_left_is_removed_by_the_next_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt.1234567.tmp").write_bytes(b"half")
    (tmp_path / "best.ckpt.1234567.tmp").write_bytes(b"half")
    WholeCheckpoints().save_checkpoint({"global_step": 1}, tmp_path / "last.ckpt")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("SHA256SUMS", "best.ckpt.1234567.tmp", "last.ckpt")
    ]
