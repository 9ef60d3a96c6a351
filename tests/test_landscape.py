"""`python -m src.landscape`: what it leaves, and what it refuses."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from src.landscape import command as landscape
from src.runs.summary import read_summary

DIGITS = ["data=digits", "data.batch_size=64", "model.width=8", "model.strides=[2,2,2,2]", "norm=ln"]
DIGITS += ["callbacks=training", "trainer.max_epochs=1", "optimizer.lr=0.05"]


@pytest.mark.slow
def test_a_slice_and_a_line_between_two_runs(
    run_tiny: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [run_tiny(*DIGITS, f"seed={seed}", "data.seed=0") for seed in (0, 1)]
    losses = [read_summary(run)["val/loss"] for run in runs]
    assert landscape.main([f"run={runs[0]}", "points=3", "reach=0.5", f"out={tmp_path / 'slice'}"]) == 0
    points = rows(tmp_path / "slice")
    assert [point["place"] for point in points] == [-0.5, 0.0, 0.5]
    assert points[1]["loss"] == pytest.approx(losses[0], rel=1e-4), "what the run itself measured"

    capsys.readouterr()
    assert landscape.main([f"run={runs[0]}", f"to={runs[1]}", "points=3", f"out={tmp_path / 'line'}"]) == 0
    points = rows(tmp_path / "line")
    assert [points[0]["loss"], points[2]["loss"]] == pytest.approx(losses, rel=1e-4)
    rise = max(points[1]["loss"] - sum(losses) / 2, 0.0)
    said = capsys.readouterr().out
    assert f"barrier: {rise:.4f} nats" in said
    assert "has trained on some of these images" not in said
    with Image.open(tmp_path / "line" / "landscape.png") as picture:
        assert picture.width > 500


def rows(folder: Path) -> list[dict[str, float]]:
    with (folder / "landscape.csv").open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.slow
def test_what_cannot_be_drawn(run_tiny: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["trainer.limit_train_batches=2"]
    run = run_tiny(*DIGITS, *tiny, "data.num_val=0")
    assert landscape.main([f"run={run}", "points=3"]) == 1
    assert "error: the run has no validation images (data.num_val=0)" in capsys.readouterr().out
    wide = run_tiny(*DIGITS, *tiny, "model.width=4")
    assert landscape.main([f"run={wide}", f"to={run}", "points=3"]) == 1
    assert "does not fit this ResNet" in capsys.readouterr().out
    other = run_tiny(*DIGITS, *tiny, "model.width=4", "seed=1")
    assert landscape.main([f"run={wide}", f"to={other}", "points=3"]) == 0
    assert "the other run has trained on some of these images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "run must be given: add run=<value>"),
        (["run=nowhere"], "nowhere is no run's folder"),
        (["run=x", "points=2"], "points must be a whole number from 3 to 4294967295: got 2. Default: 21."),
        (["run=x", "reach=-1"], "reach must be a number above 0: got -1. Default: 1."),
        (["run=x", "direction=a"], "direction must be a whole number from 0 to 4294967295: got a."),
        (["--rn=x"], "cannot read '--rn=x'"),
    ],
)
def test_mistakes_are_one_line(args: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        landscape.main(args)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
