import json
import math
from pathlib import Path

import pytest

from src.runs.curves import draw_curves, read_metrics
from src.runs.provenance import provenance
from src.runs.summary import Summary, read_summary
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
