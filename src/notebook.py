"""The bench in a notebook: compose, train, show.

from src.notebook import compose, compose_all, load_run, show, train

experiment = compose("experiment=quickstart", "norm=ln")   # the overrides of the command line
run = train(experiment)
show(run)
runs = [train(experiment) for experiment in compose_all("experiment=norms", "seed=0")]   # a sweep
net, class_names, mean, std = load_run(run)
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from src import train as command
from src.config.check import check_jobs, job_overrides
from src.config.console import log_to
from src.config.errors import ConfigError
from src.config.multirun import multirun
from src.config.precision import precision_override
from src.config.resolvers import new_folder, run_name
from src.config.resume import with_run_overrides


@dataclass(frozen=True)
class Experiment:
    """A composed configuration, the overrides that made it and the options chosen; prints as YAML."""

    cfg: DictConfig
    overrides: list[str]
    options: dict[str, str]

    def __repr__(self) -> str:
        return OmegaConf.to_yaml(self.cfg)


def compose(*overrides: str) -> Experiment:
    """What `python -m src.train <overrides>` would run.

    Raises:
        ConfigError: a name, type or value that cannot work, or an experiment that is a sweep of several runs.
    """
    given = with_run_overrides(list(overrides))
    if any(o.startswith("experiment=") for o in given) and (whole := multirun(given, flag=False)):
        raise ConfigError(
            f"{' '.join(overrides)} is a sweep of {len(job_overrides(whole.overrides))} runs: "
            f"compose_all(…) returns all of them."
        )
    ((cfg, options),) = check_jobs(given, sweep=False)
    return Experiment(cfg, given + precision_override([cfg]), options)


def compose_all(*overrides: str) -> list[Experiment]:
    """What `python -m src.train -m <overrides>` would run: one experiment a job, each to be given to `train`.

    Raises:
        ConfigError: a name, type or value that cannot work.
    """
    whole = multirun(list(overrides), flag=True)
    assert whole is not None
    jobs = check_jobs(whole.overrides, sweep=True)
    chosen = precision_override([job.cfg for job in jobs])
    typed = job_overrides(whole.overrides)
    return [Experiment(cfg, own + chosen, options) for (cfg, options), own in zip(jobs, typed, strict=True)]


def train(experiment: Experiment) -> Path:
    """Train and test, with the same output and files as the command; returns the run's folder.

    Raises:
        RunFailed: the run stopped; the reason is in its message, the log and summary.json.
    """
    cfg = experiment.cfg
    runs = f"{cfg.paths.output_dir}/{cfg.task_name}/runs"
    name = run_name(",".join(experiment.overrides))
    return train_in(Path(new_folder(runs, time.strftime("%y%m%d-%H%M"), name)), experiment)


def train_in(run_dir: Path, experiment: Experiment, **how: Any) -> Path:
    """`train` in an empty folder of one's own; `how` goes to `src.train.train`."""
    cfg = experiment.cfg.copy()
    cfg.paths.run_dir = str(run_dir)
    log_to(run_dir / "train.log")
    return command.train(cfg, overrides=experiment.overrides, options=experiment.options, **how)


class _Trained(NamedTuple):
    """A run's network, in evaluation mode, and what its images and answers are.

    Args:
        net: (B, 3, H, W) normalized images -> (B, classes) logits.
        class_names: in the order of the logits.
        mean: (3, 1, 1), of pixels from 0 to 1; images are normalized as `(pixels - mean) / std`.
        std: (3, 1, 1).
    """

    net: nn.Module
    class_names: list[str]
    mean: Tensor
    std: Tensor


def load_run(run_dir: str | Path, *, ckpt: str = "") -> _Trained:
    """The network of a run, on the CPU.

    Args:
        run_dir: the run's folder.
        ckpt: `best` or `last`; if not given, best where the run kept one.

    Raises:
        ConfigError: it is no run's folder, it would call what no file in `conf/` does, or has no checkpoint.
        ValueError: the checkpoint is damaged.
    """
    from src.config.build import build
    from src.config.finished import checkpoint_of, placed, run_config
    from src.engine.weights import data_facts, load_checkpoint, load_weights

    folder = Path(run_dir)
    path = checkpoint_of(folder, ckpt)
    content = load_checkpoint(path)
    net: nn.Module = build(placed(run_config(folder, []), folder).model)
    load_weights(net, content, path)
    facts = data_facts(content, path)
    mean, std = (torch.tensor(facts[key]).view(3, 1, 1) for key in ("mean", "std"))
    return _Trained(net.eval(), facts["class_names"], mean, std)


def show(run_dir: str | Path) -> None:
    """Display the pictures in a run's folder, curves first.

    Raises:
        FileNotFoundError: the folder has no pictures.
    """
    from IPython.display import Image, display

    pictures = sorted(Path(run_dir).glob("*.png"), key=lambda path: (path.name != "curves.png", path.name))
    if not pictures:
        raise FileNotFoundError(f"no pictures in {Path(run_dir).resolve()}: is it a finished run's folder?")
    for picture in pictures:
        display(Image(filename=str(picture)))
