"""What a study's trials came to, of trials made by hand."""

import csv
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from src.tune.trials import best_table, counts_line, ranked, rows, write_figures, write_trials

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


def test_the_page_of_figures_needs_no_network_and_leaves_out_what_needs_two_trials(
    trials: list[FrozenTrial], tmp_path: Path
) -> None:
    study = optuna.create_study(direction="maximize")
    for number, present in ((2, False), (6, True)):
        study.add_trials(trials[len(study.trials) : number])
        write_figures(tmp_path / "study.html", study)
        page = (tmp_path / "study.html").read_text(encoding="utf-8")
        assert "Optimization History Plot" in page
        assert "Intermediate Values Plot" in page
        assert ("Hyperparameter Importances" in page) == present
        assert ("Parallel Coordinate Plot" in page) == present
        assert page.count("optimizer.lr") >= present
        assert '<script src="http' not in page
