"""What a study's trials came to, of trials made by hand."""

import csv
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from src.tune.figures import history_figure, importance_figure
from src.tune.trials import best_table, counts_line, ranked, rows, write_trials

START = datetime(2026, 1, 1)
SPACE = {"optimizer": CategoricalDistribution(["sgd", "adamw"]), "optimizer.lr": FloatDistribution(0.0, 1.0)}


def trial(number: int, state: TrialState, curve: dict[int, float], failure: str = "") -> FrozenTrial:
    return FrozenTrial(
        number=number,
        state=state,
        value=max(curve.values()) if state == TrialState.COMPLETE else None,
        datetime_start=START,
        datetime_complete=None if state == TrialState.RUNNING else START + timedelta(seconds=2.04),
        params={"optimizer": "sgd", "optimizer.lr": 0.123456},
        distributions=SPACE,
        user_attrs={"failure": failure} if failure else {},
        system_attrs={},
        intermediate_values=curve,
        trial_id=number,
    )


@pytest.fixture
def trials() -> list[FrozenTrial]:
    return [
        trial(0, TrialState.COMPLETE, {1: 0.5, 2: 0.75, 3: 0.7}),
        trial(1, TrialState.PRUNED, {1: 0.25}),
        trial(2, TrialState.COMPLETE, {1: 0.5, 2: 0.6, 3: 0.8}),
        trial(3, TrialState.PRUNED, {}, failure="the loss is nan"),
        trial(4, TrialState.FAIL, {1: 0.9}),
        trial(5, TrialState.COMPLETE, {1: 0.1, 2: 0.1, 3: 0.8}),
        trial(6, TrialState.RUNNING, {}),
        trial(7, TrialState.WAITING, {}),
    ]


def test_rows_are_ranked_by_the_best_epoch_of_completed_trials(trials: list[FrozenTrial]) -> None:
    found = rows(trials)
    assert [row["state"] for row in found] == [
        *("completed", "pruned", "completed", "failed", "lost", "completed", "unfinished")
    ]
    assert [row["val/acc"] for row in found] == [0.75, 0.25, 0.8, None, 0.9, 0.8, None]
    assert [row["epochs"] for row in found] == [3, 1, 3, 0, 1, 3, 0]
    assert [row["seconds"] for row in found] == [2.0] * 6 + [None]
    assert [row["trial"] for row in ranked(found)] == [2, 5, 0]
    assert counts_line(found) == "trials: 3 completed, 1 pruned, 1 failed, 1 lost, 1 unfinished"
    assert best_table(found).splitlines() == [
        "  trial  val/acc  optimizer  optimizer.lr",
        "      2   80.00%        sgd        0.1235",
        "      5   80.00%        sgd        0.1235",
        "      0   75.00%        sgd        0.1235",
    ]


def test_trials_csv(trials: list[FrozenTrial], tmp_path: Path) -> None:
    write_trials(tmp_path / "trials.csv", rows(trials))
    with (tmp_path / "trials.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert list(found[0].values()) == ["0", "completed", "0.75", "3", "2.0", "sgd", "0.1235", ""]
    assert found[3]["reason"] == "the loss is nan"


def test_history_shows_the_best_so_far_of_completed_trials() -> None:
    (axes,) = history_figure({0: 0.5, 4: 0.6, 2: 0.8}, {1: 0.9}).axes
    best, completed, pruned = axes.lines
    assert list(best.get_xdata()) == [0, 2, 4]
    assert list(best.get_ydata()) == pytest.approx([50, 80, 80])
    assert list(completed.get_ydata()) == pytest.approx([50, 80, 60])
    assert list(pruned.get_xdata()) == [1]
    assert list(pruned.get_ydata()) == pytest.approx([90])


def test_the_most_important_key_is_on_top() -> None:
    (axes,) = importance_figure({"optimizer": 0.25, "optimizer.lr": 0.75}, 12).axes
    assert [bar.get_width() for bar in axes.patches] == [0.25, 0.75]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["optimizer", "optimizer.lr"]
    assert axes.get_title() == "PED-ANOVA of 12 completed trials; rough below 50"
