"""The study's loop, without any training."""

from pathlib import Path
from typing import Any

import pytest
from optuna import Study
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from src.config.cli import RunFailed
from src.runs.summary import Stopped
from src.tune.study import Pruning, open_study, search, trial_lock
from src.tune.trials import rows

SPACE = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.001, 1.0, log=True)}


def drawn(study: Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.trials]


class Parabola:
    """-(x - peak)², and an exception where one is wished for; remembers what it was asked."""

    def __init__(self, raises: dict[int, BaseException] | None = None, *, peak: float = 0.3) -> None:
        self.raises, self.peak = raises or {}, peak
        self.numbers: list[int] = []

    def __call__(self, number: int, overrides: list[str], pruning: Pruning) -> float:
        self.numbers.append(number)
        if number in self.raises:
            raise self.raises[number]
        return -((float(overrides[0].removeprefix("x=")) - self.peak) ** 2)


def test_the_total_counts_what_was_there_before(tmp_path: Path) -> None:
    for total, asked in ((3, [0, 1, 2]), (5, [3, 4]), (5, [])):
        objective = Parabola()
        search(tmp_path, SPACE, objective, total=total, seed=0)
        assert objective.numbers == asked


def test_pruned_and_failed_trials_count_and_stop_nothing(tmp_path: Path) -> None:
    objective = Parabola({1: Stopped("pruned: …"), 2: RunFailed("diverged")})
    study = search(tmp_path, SPACE, objective, total=4, seed=0)
    assert [row["state"] for row in rows(study.trials)] == ["completed", "pruned", "failed", "completed"]
    assert [row["reason"] for row in rows(study.trials)] == ["", "", "diverged", ""]
    assert study.trials[0].value == pytest.approx(-((study.trials[0].params["x"] - 0.3) ** 2), abs=1e-3)


def test_a_study_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("whole", "stopped", "seed", "peak")]
    for folder in folders:
        folder.mkdir()
    whole = search(folders[0], SPACE, Parabola(), total=14, seed=0)
    with pytest.raises(SystemExit):
        search(folders[1], SPACE, Parabola({4: SystemExit()}), total=14, seed=0)
    with pytest.raises(KeyboardInterrupt):
        search(folders[1], SPACE, Parabola({12: KeyboardInterrupt()}), total=14, seed=0)
    stopped = search(folders[1], SPACE, Parabola(), total=14, seed=0)
    assert [trial.number for trial in stopped.trials if trial.state == TrialState.FAIL] == [4, 12]
    counted = [trial.params for trial in stopped.trials if trial.state == TrialState.COMPLETE]
    assert counted == drawn(whole)
    assert len({params["x"] for params in drawn(whole)}) == 14
    other = search(folders[2], SPACE, Parabola(), total=14, seed=1)
    assert not {params["x"] for params in drawn(other)} & {params["x"] for params in drawn(whole)}
    # Random draws for ten trials, then TPE, which looks at results
    moved = drawn(search(folders[3], SPACE, Parabola(peak=0.9), total=14, seed=0))
    assert moved[:10] == drawn(whole)[:10]
    assert not {params["x"] for params in moved[10:]} & {params["x"] for params in drawn(whole)[10:]}


def test_a_trial_that_somebody_trains_is_left_to_them(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    theirs, lost = study.ask(SPACE), study.ask(SPACE)
    objective = Parabola()
    with trial_lock(tmp_path, theirs.number):
        with pytest.raises(TimeoutError):
            search(tmp_path, SPACE, Parabola({3: TimeoutError()}), total=3, seed=0)
        trials = study.trials
        assert [trial.state.name for trial in trials] == ["RUNNING", "FAIL", "COMPLETE", "RUNNING"]
        assert trials[2].params == lost.params
        study.tell(theirs, 0.5)
    search(tmp_path, SPACE, objective, total=3, seed=0)
    assert objective.numbers == [4], "the one that its own process lost; theirs is done"
