"""What a comparison was made of, and what a reader should know before believing it."""

import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from src.compare.atlas import test_set
from src.compare.leaderboard import Leaderboard
from src.compare.runs import Run
from src.compare.variants import brief

SWEEP = "multirun.yaml"  # Hydra leaves it in a sweep's folder


def commands(runs: Sequence[Run]) -> list[str]:
    """What was typed, each once: the sweep's command where a run is of a sweep."""
    folders = dict.fromkeys(run.folder.parent for run in runs)
    sweeps = {folder: command for folder in folders if (command := _sweep_command(folder / SWEEP))}
    typed = [sweeps.get(run.folder.parent) or run.summary.command for run in runs]
    return [command for command in dict.fromkeys(typed) if command]


def _sweep_command(path: Path) -> str | None:
    """The command of a sweep; None without its file, or where that does not say."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return shlex.join(["python", "-m", "src.train", "-m", *content["hydra"]["overrides"]["task"]])
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return None


def caveats(board: Leaderboard) -> list[str]:
    """What limits the comparison, a sentence each."""
    found = []
    rows = [row for row in board.rows if row.n]
    runs = [run for row in rows for run in row.variant.counted]
    ranked = sum(row.rank is not None for row in rows)
    if ranked > 1:
        found.append(
            f"The leader is the best of {ranked} by validation accuracy, which flatters its validation "
            f"accuracy; the test accuracy had no part in the choice."
        )
    if any(row.n == 1 for row in rows):
        found.append("A variant with one seed has no interval and is not tested: train more seeds.")
    if len({tuple(run.summary.seed for run in row.variant.counted) for row in rows}) > 1:
        found.append("The variants have different seeds: a test uses those that it shares with the leader.")
    if repeats := sum(row.variant.repeats for row in board.rows):
        found.append(f"{repeats} runs repeat a seed of their variant: the newest one counts.")
    if len({json.dumps(test_set(run), sort_keys=True) for run in runs}) > 1:
        found.append("The runs do not share one dataset: their accuracies cannot be compared.")
    if len(devices := distinct(run.summary.device for run in runs)) > 1:
        found.append(f"Times are of different devices and cannot be compared: {', '.join(devices)}.")
    if len(commits := distinct(run.summary.git_commit for run in runs)) > 1:
        found.append(f"The code changed between runs: commits {', '.join(c[:7] for c in commits)}.")
    if any(run.summary.git_dirty for run in runs):
        found.append("Some runs used code with changes that were not committed.")
    return found


def settings(run: Run) -> dict[str, str]:
    """How a run was trained: what someone asks first who doubts that a comparison is fair."""
    config, options = run.config, run.summary.options
    clip, algorithm = (config.get(f"trainer.gradient_clip_{key}") for key in ("val", "algorithm"))
    betas = [config[key] for key in ("optimizer.betas.0", "optimizer.betas.1") if key in config]
    momentum = config.get("optimizer.momentum", ", ".join(map(brief, betas)))
    found = {
        "optimizer": options.get("optimizer"),
        "learning rate": config.get("optimizer.lr"),
        "weight decay": config.get("optimizer.weight_decay"),
        "momentum or betas": momentum,
        "gradient clipping": "none" if clip is None else f"{brief(clip)} by {algorithm}",
        "schedule": options.get("scheduler"),
        "batch": config.get("data.batch_size"),
        "epochs": config.get("trainer.max_epochs"),
        "precision": config.get("trainer.precision"),
    }
    return {name: "" if value is None else brief(value) for name, value in found.items()}


def distinct(values: Iterable[str | None]) -> list[str]:
    """Known values, each once."""
    return [value for value in dict.fromkeys(values) if value is not None]
