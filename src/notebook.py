"""The bench in a notebook: compose, train, show.

from src.notebook import compose, load_run, show, train

experiment = compose("experiment=quickstart", "norm=ln")   # the overrides of the command line
run = train(experiment)
show(run)
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
from src.config.check import check_jobs
from src.config.console import log_to
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
        ConfigError: a name, type or value that cannot work, told in one line.
    """
    given = with_run_overrides(list(overrides))
    ((cfg, options),) = check_jobs(given, sweep=False)
    return Experiment(cfg, given + precision_override([cfg]), options)


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


class Trained(NamedTuple):
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


def load_run(run_dir: str | Path, *, ckpt: str = "") -> Trained:
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
    return Trained(net.eval(), facts["class_names"], mean, std)


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
