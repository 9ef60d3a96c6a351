"""Schedules drawn without training, against values that one can work out and against a real run."""

import csv
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from src.optim.schedule import Schedule
from src.plot_schedule import command as plot_schedule
from src.plot_schedule.curves import a_weight, schedules_table, simulate


def rows(folder: Path) -> list[dict[str, str]]:
    with next(folder.rglob("schedule.csv")).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_onecycle_and_its_momentum_at_known_steps() -> None:
    schedule = Schedule(
        factory=torch.optim.lr_scheduler.OneCycleLR,
        **{"interval": "step", "horizon": "total_steps", "max_lr": 1.0, "pct_start": 0.5},
    )
    optimizer = torch.optim.SGD(a_weight(), lr=1.0, momentum=0.9)
    curves = simulate(optimizer, schedule, steps_per_epoch=11, epochs=2)
    # 22 steps: the peak is at step 0.5 * 22 - 1 = 10, half-way up at step 5: (1/25 + 1) / 2
    assert curves.lr[[0, 5, 10]] == pytest.approx([1 / 25, 0.52, 1.0])
    assert curves.momentum[[0, 5, 10]] == pytest.approx([0.95, 0.9, 0.85])
    assert curves.lr[21] == pytest.approx(1 / 25 / 1e4)
    assert len(curves.lr) == 22


def test_epoch_schedules_wait_for_the_epochs_end_and_plateau_for_a_metric() -> None:
    step = Schedule(factory=torch.optim.lr_scheduler.StepLR, interval="epoch", step_size=2, gamma=0.1)
    curves = simulate(torch.optim.Adam(a_weight(), lr=1.0), step, steps_per_epoch=3, epochs=4)
    assert curves.lr.tolist() == pytest.approx([1.0] * 6 + [0.1] * 6)
    assert curves.momentum.tolist() == [0.9] * 12, "Adam's beta1"
    plateau = Schedule(
        factory=torch.optim.lr_scheduler.ReduceLROnPlateau,
        **{"interval": "epoch", "monitor": "val/acc", "mode": "max", "factor": 0.5, "patience": 1},
    )
    curves = simulate(torch.optim.SGD(a_weight(), lr=1.0), plateau, steps_per_epoch=1, epochs=5)
    # The first value is the best; two epochs without a rise halve the rate
    assert curves.lr.tolist() == [1.0, 1.0, 1.0, 0.5, 0.5]
    assert curves.momentum.tolist() == [0.0] * 5


def test_an_optimizer_without_momentum_has_none() -> None:
    constant = Schedule(factory=torch.optim.lr_scheduler.ConstantLR, interval="epoch", factor=1.0)
    curves = simulate(torch.optim.Adagrad(a_weight(), lr=1.0), constant, steps_per_epoch=2, epochs=1)
    assert all(math.isnan(m) for m in curves.momentum)


@pytest.mark.slow
def test_the_command_draws_what_a_run_does(
    tmp_path: Path, run_tiny: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    shared = ["data=digits", "data.batch_size=256", "trainer.max_epochs=2", "scheduler.cycle_momentum=true"]
    shared += ["scheduler=onecycle", "optimizer.lr=0.2", "optimizer.momentum=0.9"]
    assert plot_schedule.main(shared) == 0
    drawn = rows(tmp_path / "outputs" / "plot_schedule")
    assert len(drawn) == 10, "1,437 - 180 images in batches of 256: five steps an epoch"
    run_dir = run_tiny(*shared, "model.width=8", "callbacks=training", "trainer.log_every_n_steps=1")
    with (run_dir / "metrics.csv").open(newline="", encoding="utf-8") as file:
        logged = [row for row in csv.DictReader(file) if row["lr-SGD"]]
    for name, column in (("lr", "lr-SGD"), ("momentum", "lr-SGD-momentum")):
        trained = [float(row[column]) for row in logged]
        assert [float(row[name]) for row in drawn] == pytest.approx(trained, rel=1e-5)
    with Image.open(next((tmp_path / "outputs" / "plot_schedule").rglob("schedule.png"))) as picture:
        assert picture.width > 500
    said = capsys.readouterr().out
    assert "schedule.png" in said


def test_combinations_are_named_by_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plot_schedule.main(["-m", "scheduler=step,constant", "optimizer.lr=0.5", "data=digits"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["progress", "scheduler=step", "scheduler=constant"]
    assert lines[1].split() == ["0%", "0.5", "0.5"]
    assert lines[11].split()[::2] == ["100%", "0.5"]
    assert {row["schedule"] for row in rows(tmp_path)} == {"scheduler=step", "scheduler=constant"}


def test_the_table_has_tenths() -> None:
    curves = simulate(
        torch.optim.SGD(a_weight(), lr=1.0),
        Schedule(factory=torch.optim.lr_scheduler.ExponentialLR, interval="step", gamma=0.5),
        steps_per_epoch=10,
        epochs=1,
    )
    lines = schedules_table({"half": curves}).splitlines()
    assert [line.split()[1] for line in lines[1:4]] == ["1", "0.5", "0.25"]
    assert len(lines) == 12


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["scheduler=onecyle"], "Did you mean scheduler=onecycle?"),
        (["scheduler=step,constant"], "asks for several runs: add -m"),
        (["-m", "optimizer.lr=" + ",".join(map(str, range(1, 30)))], "more than 24 combinations"),
        (["data=image_folder", "data.root=nowhere"], "no folder nowhere"),
        (["optimizer.lr=-1"], "optimizer.lr must be more than 0: got -1."),
    ],
)
def test_mistakes_are_one_line(args: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        plot_schedule.main(args)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
