"""Median pruning on a study made by hand."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from src.notebook import compose, train_in
from src.runs.summary import Stopped, read_summary
from src.tune.study import Pruning
from tests.conftest import TINY

X = {"x": FloatDistribution(0.0, 1.0)}


@pytest.fixture
def trial() -> optuna.Trial:
    """The sixth trial, after five whose val/acc is 0.5, 0.6, 0.7, 0.8, 0.9 after each of three epochs."""
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner())
    for value in (0.5, 0.6, 0.7, 0.8, 0.9):
        curve = dict.fromkeys((1, 2, 3), value)
        study.add_trial(
            create_trial(value=value, params={"x": 0.5}, distributions=X, intermediate_values=curve)
        )
    return study.ask(X)


def validated(epoch: int, accuracy: float, **more: Any) -> Any:
    """A trainer that has just validated."""
    metrics = {"val/acc": accuracy}
    facts = {"sanity_checking": False, "should_stop": False, "max_epochs": 3} | more
    return SimpleNamespace(current_epoch=epoch - 1, callback_metrics=metrics, **facts)


@pytest.mark.parametrize(("accuracies", "pruned"), [([0.69], True), ([0.7], False), ([0.75, 0.1], False)])
def test_a_trial_whose_best_is_below_the_median_ends(
    accuracies: list[float], pruned: bool, trial: optuna.Trial
) -> None:
    callback = Pruning(trial)
    for epoch, accuracy in enumerate(accuracies, start=1):
        trainer = validated(epoch, accuracy)
        callback.on_validation_end(trainer, None)  # type: ignore[arg-type]
    assert trainer.should_stop is pruned
    if pruned:
        with pytest.raises(Stopped, match="pruned: below the median of other trials after epoch 1 .*69.0%"):
            callback.on_fit_end(trainer, None)  # type: ignore[arg-type]
    else:
        callback.on_fit_end(trainer, None)  # type: ignore[arg-type]


def test_a_finished_trial_is_not_pruned_and_a_sanity_check_is_not_reported(trial: optuna.Trial) -> None:
    callback = Pruning(trial)
    check, last = validated(1, 0.0, sanity_checking=True), validated(3, 0.1)
    callback.on_validation_end(check, None)  # type: ignore[arg-type]
    callback.on_validation_end(last, None)  # type: ignore[arg-type]
    assert not check.should_stop
    assert not last.should_stop
    assert trial.study.trials[trial.number].intermediate_values == {3: 0.1}


def test_a_pruned_run_is_whole_up_to_its_end_and_says_so(tmp_path: Path, trial: optuna.Trial) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    tiny = ["data=digits", "model.width=4", "callbacks=training", "trainer.limit_train_batches=1"]
    with pytest.raises(Stopped):  # a network of one step knows less than 69 % of the digits
        train_in(
            run_dir, compose(*TINY, *tiny, "trainer.max_epochs=3"), callbacks=[Pruning(trial)], test=False
        )
    facts = read_summary(run_dir)
    assert facts["status"].startswith("pruned: below the median of other trials after epoch 1 (val/acc ")
    assert facts["epochs"] == 1
    assert "test/acc" not in facts
    assert trial.study.trials[trial.number].intermediate_values == {1: facts["val/acc"]}
    with (run_dir / "metrics.csv").open(newline="", encoding="utf-8") as file:
        accuracies = [row["val/acc"] for row in csv.DictReader(file) if row["val/acc"]]
    assert [float(accuracy) for accuracy in accuracies] == [facts["val/acc"]]
    assert (run_dir / "checkpoints" / "last.ckpt").is_file()
