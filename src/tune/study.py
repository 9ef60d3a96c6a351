"""A hyperparameter search that several processes share and that survives any of them.

A study is a folder: Optuna's journal (a file that is only appended to), and a lock file a trial. The
operating system lets a lock go when the process that holds it ends, however it ends: a running trial
whose lock is free is lost, and is repeated with the same values. Optuna's heartbeats would tell the
same only for databases, after a delay.
"""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import lightning as L
import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna import Study, Trial
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from src.config.cli import RunFailed
from src.config.errors import ConfigError
from src.runs.summary import Stopped
from src.tune.search_space import Space, overrides

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
_COUNTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)  # a lost trial is a failed one


class Pruning(L.Callback):
    """Report val/acc after each epoch to an Optuna trial; end the run when the study's pruner says so.

    The epoch is finished first, so that metrics and checkpoints are whole; a run whose epochs are all
    done is not pruned.

    Raises:
        Stopped: at the end of the training, if the trial was pruned.
    """

    def __init__(self, trial: Trial) -> None:
        self.trial, self.reason = trial, ""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        epoch, accuracy = trainer.current_epoch + 1, float(trainer.callback_metrics["val/acc"])
        self.trial.report(accuracy, step=epoch)
        if epoch != trainer.max_epochs and self.trial.should_prune():
            self.reason = (
                f"pruned: below the median of other trials after epoch {epoch} (val/acc {accuracy:.1%})"
            )
            trainer.should_stop = True

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.reason:
            raise Stopped(self.reason)


# (trial's number, its overrides, what prunes it) -> best val/acc; may raise Stopped, RunFailed, ConfigError
_Objective = Callable[[int, list[str], Pruning], float]


def open_study(folder: Path) -> Study:
    """The study in a folder, made if it is new. TPE suggests, and the median of earlier trials prunes."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"))),
        study_name="study",
        direction="maximize",
        pruner=MedianPruner(),
        load_if_exists=True,
    )


def search(folder: Path, space: Space, objective: _Objective, *, total: int, seed: int) -> Study:
    """Run trials, beside other processes that may do so, until the study has `total` of them."""
    study = open_study(folder)
    while (claimed := _claim(study, folder, space, total=total, seed=seed)) is not None:
        trial, held = claimed
        with held:
            run(study, trial, objective)
    return study


def _claim(
    study: Study, folder: Path, space: Space, *, total: int, seed: int
) -> tuple[Trial, AbstractContextManager[object]] | None:
    """The next trial and its lock, held; None when there are `total` and none of them still runs.

    What is drawn follows from `seed`, the number of trials so far and their results: a study that was
    stopped continues as if it had not been.
    """
    told = False
    while True:
        with FileLock(folder / "study.lock"):
            _give_up_lost(study, folder)
            counted = study.get_trials(deepcopy=False, states=_COUNTED)
            if len(counted) < total:
                draw = np.random.SeedSequence([seed, len(counted)]).generate_state(1)
                study.sampler = TPESampler(seed=int(draw[0]))
                trial = study.ask(space)
                values = " ".join(overrides(trial.params))
                log.info("\ntrial %d (%d of %d): %s", trial.number, len(counted) + 1, total, values)
                return trial, trial_lock(folder, trial.number).acquire()
        running = [trial.number for trial in counted if trial.state == TrialState.RUNNING]
        if not running:
            return None
        if not told:
            log.info("waiting for trials that other processes run: %s", ", ".join(map(str, running)))
        told = True
        time.sleep(POLL_SECONDS)


def _give_up_lost(study: Study, folder: Path) -> None:
    """Fail the running trials whose process is gone, and put their values up for the next to take."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        try:
            with trial_lock(folder, trial.number).acquire(blocking=False):
                study.tell(trial.number, state=TrialState.FAIL)
                study.enqueue_trial(trial.params)
                log.info("trial %d was not finished: it is repeated", trial.number)
        except Timeout:
            continue  # somebody trains it


def trial_lock(folder: Path, number: int) -> FileLock:
    locks = folder / ".locks"
    locks.mkdir(exist_ok=True)
    return FileLock(locks / f"{number}.lock")


def run(study: Study, trial: Trial, objective: _Objective) -> None:
    """Run a trial and tell the study what came of it; its failure stops nothing but itself."""
    try:
        accuracy = objective(trial.number, overrides(trial.params), Pruning(trial))
    except Stopped:
        study.tell(trial, state=TrialState.PRUNED)
    except (RunFailed, ConfigError) as error:
        trial.set_user_attr("failure", str(error))
        study.tell(trial, state=TrialState.PRUNED)  # TPE forgets failed trials and would try the like again
    else:
        study.tell(trial, accuracy)
