"""What a study's trials came to: `trials.csv`, a table of the best, and Optuna's figures."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from src.files import atomic_write
from src.tune.search_space import typed

_BEST = 10  # trials in the table
Row = dict[str, Any]


def rows(trials: Sequence[FrozenTrial]) -> list[Row]:
    """One row a trial: number, how it ended, best val/acc, epochs with one, seconds, values, reason."""
    return [
        {
            "trial": trial.number,
            "state": state(trial),
            "val/acc": max(trial.intermediate_values.values(), default=None),
            "epochs": max(trial.intermediate_values, default=0),
            "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else None,
            **{key: typed(value) for key, value in trial.params.items()},
            "reason": trial.user_attrs.get("failure", ""),
        }
        for trial in trials
        if trial.state != TrialState.WAITING
    ]


def state(trial: FrozenTrial) -> str:
    """A word for how a trial ended; `lost`: its process did not finish it, and it was repeated."""
    if "failure" in trial.user_attrs:
        return "failed"
    return {
        TrialState.COMPLETE: "completed",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "lost",
        TrialState.RUNNING: "unfinished",
    }[trial.state]


def ranked(found: Sequence[Row]) -> list[Row]:
    """Completed trials, the best val/acc first; of equal ones, the first."""
    completed = [row for row in found if row["state"] == "completed"]
    return sorted(completed, key=lambda row: (-row["val/acc"], row["trial"]))


def best_table(found: Sequence[Row]) -> str:
    """The best trials as text; the first line names the columns."""
    best = ranked(found)[:_BEST]
    keys = [key for key in (best[0] if best else ()) if key not in ("state", "epochs", "seconds", "reason")]
    lines = [keys] + [
        [f"{row[key]:.2%}" if key == "val/acc" else str(row[key]) for key in keys] for row in best
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(keys))]
    return "\n".join(
        "  " + "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


def counts_line(found: Sequence[Row]) -> str:
    """`trials: 8 completed, 4 pruned`, the states in this order, those that did not happen left out."""
    names = ("completed", "pruned", "failed", "lost", "unfinished")
    numbers = {name: sum(row["state"] == name for row in found) for name in names}
    return "trials: " + ", ".join(f"{n} {name}" for name, n in numbers.items() if n)


def write_trials(path: Path, found: Sequence[Row]) -> None:
    """One line a trial."""
    columns = list(dict.fromkeys(key for row in found for key in row))
    with atomic_write(path) as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(found)


def write_figures(path: Path, study: Study) -> None:
    """Optuna's figures of the completed trials (and the curves of pruned ones), on one page without network.

    What needs two trials is left out where there are fewer. PED-ANOVA, by which keys are important, says
    little below 50 trials (Watanabe et al. 2023, arXiv:2304.10255).
    """
    from optuna import visualization as draw

    figures = [draw.plot_optimization_history(study), draw.plot_intermediate_values(study)]
    if sum(trial.state == TrialState.COMPLETE for trial in study.get_trials(deepcopy=False)) >= 2:
        figures.append(draw.plot_param_importances(study))
        figures += [draw.plot_parallel_coordinate(study), draw.plot_slice(study)]
    parts = [figure.to_html(full_html=False, include_plotlyjs=k == 0) for k, figure in enumerate(figures)]
    with atomic_write(path) as file:
        file.write('<!doctype html><meta charset="utf-8"><title>search</title>\n' + "\n".join(parts))
