"""Draw schedules without training: `python -m src.plot_schedule -m scheduler=onecycle,cosine,step`."""

import math
import time
from pathlib import Path

from omegaconf import DictConfig

from src.command import Arguments, command, results_folder
from src.config.cli import fail
from src.config.errors import ConfigError
from src.config.multirun import named_jobs
from src.config.resolvers import run_name
from src.files import atomic_write
from src.runs.table import shown

HELP = """\
Draw learning rate and momentum of any composition of src.train, with no data and no training.

  python -m src.plot_schedule [-m] [group=option …] [key=value …]

  python -m src.plot_schedule scheduler=onecycle optimizer.lr=0.1 trainer.max_epochs=20
  python -m src.plot_schedule -m scheduler=onecycle,cosine,step,exponential
  python -m src.plot_schedule -m scheduler=onecycle scheduler.pct_start=0.1,0.3,0.5

-m draws every combination of comma-separated values, up to 24. Leaves schedule.png and schedule.csv in
outputs/plot_schedule/ and a table on the terminal. scheduler=plateau is drawn as if val/acc never rose."""

_MAX_CURVES = 24  # on one picture
_MAX_STEPS = 1_000_000  # of a curve


@command(HELP, {}, flags=["-m", "--multirun"])
def main(given: Arguments) -> int:
    """The command; returns its exit code."""
    composed = compose_all(given.overrides, flag=bool(given.flags))
    steps = {name: steps_per_epoch(cfg) for name, cfg in composed.items()}
    folder = Path(next(iter(composed.values())).paths.output_dir) / "plot_schedule"
    stamp = f"{time.strftime('%y%m%d-%H%M')}_{run_name(','.join(given.overrides))}"
    out = results_folder(folder / stamp)
    try:
        draw(composed, steps, out)
    except BrokenPipeError:
        raise
    except OSError as error:
        fail(str(error), code=1)
    return 0


def compose_all(overrides: list[str], *, flag: bool) -> dict[str, DictConfig]:
    """The configuration of each combination, by the values in which they differ; seeds make no difference.

    Raises:
        ConfigError: something cannot work, or there are more combinations than a picture can hold.
    """
    composed = {name or "schedule": cfg for name, cfg in named_jobs(overrides, flag=flag, ignore=("seed",))}
    if len(composed) > _MAX_CURVES:
        raise ConfigError(f"more than {_MAX_CURVES} combinations do not fit on one picture: sweep less.")
    return composed


def steps_per_epoch(cfg: DictConfig) -> int:
    """Optimizer steps of an epoch on one device.

    Raises:
        ConfigError: the data group does not say how many images train, or there are too many steps.
    """
    num_train: int | None = cfg.data.get("num_train")
    if not num_train:
        raise ConfigError("data.num_train is not known before the data is read: add data.num_train=<images>.")
    batches = math.ceil((num_train - int(cfg.data.num_val)) / int(cfg.data.batch_size))
    limit: int | float = cfg.trainer.limit_train_batches
    batches = int(batches * limit) if isinstance(limit, float) else min(batches, limit)
    steps = max(1, math.ceil(batches / int(cfg.trainer.accumulate_grad_batches)))
    if steps * cfg.trainer.max_epochs > _MAX_STEPS:
        raise ConfigError(
            f"more than {_MAX_STEPS:,} steps are not drawn: got {cfg.trainer.max_epochs} epochs of {steps}. "
            f"Set trainer.max_epochs or trainer.limit_train_batches lower: a schedule keeps its shape."
        )
    return steps


def draw(composed: dict[str, DictConfig], steps: dict[str, int], out: Path) -> None:
    """Leave the picture and the numbers of every step, and print the table."""
    import csv

    from src.config.build import build
    from src.plot_schedule.curves import a_weight, schedules_figure, schedules_table, simulate

    curves = {}
    for name, cfg in composed.items():
        optimizer = build(cfg.optimizer)(a_weight())
        curves[name] = simulate(
            optimizer, build(cfg.scheduler), steps_per_epoch=steps[name], epochs=cfg.trainer.max_epochs
        )
    with atomic_write(out / "schedule.png", "wb") as file:
        schedules_figure(curves, steps).savefig(file, dpi=120)
    with atomic_write(out / "schedule.csv") as file:
        writer = csv.writer(file)
        writer.writerow(["schedule", "step", "epoch", "lr", "momentum"])
        for name, curve in curves.items():
            for step, (lr, momentum) in enumerate(zip(curve.lr, curve.momentum, strict=True)):
                writer.writerow([name, step, step // steps[name] + 1, f"{lr:.8g}", f"{momentum:.6g}"])
    print(schedules_table(curves))
    print(f"\npicture: {shown(out / 'schedule.png')}\nnumbers: {shown(out / 'schedule.csv')}")
