"""What a run will take: `python -m src.estimate [-m] [group=option …] [key=value …]`, as for src.train."""

import json
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from src.command import Arguments, command
from src.config.cli import fail
from src.config.errors import ConfigError
from src.config.finished import placed
from src.config.fresh import compose_config
from src.config.identity import flattened, plain
from src.config.multirun import multirun, named_jobs
from src.config.precision import precision_override, slow_choice
from src.config.processes import is_one

if TYPE_CHECKING:
    from src.estimate.measure import Estimate

HELP = """\
What a run will take, before anyone waits for it: parameters, MACs, compute, peak memory, and the time on this
machine, from some seconds of the run's own training.

  python -m src.estimate [-m] [group=option …] [key=value …]

The arguments are those of src.train. Timed are a few batches of the composition's network, loss,
optimizer, precision, batch size, augmentation and loading in the Trainer's own loop (at least five, unless
they take more than 30 s; the first two only warm up), and a few of validation, from which the test is
reckoned. Peak memory includes the explanations of one test batch; their time, and that of other callbacks
and of loggers, comes on top (on a CPU, mostly after the test). Nothing is kept, no run's folder is made.

-m estimates every job of a sweep and their sum, one after the other; those that differ in the seed alone are
measured once. Other work on the machine counts: the spread beside the median says how steady it was.

Examples:
  python -m src.estimate experiment=cpu
  python -m src.estimate norm=ln trainer.precision=bf16-mixed
  python -m src.estimate -m size=cpu norm=bn,ln,gn seed=0,1,2"""

_UNTIMED = ("seed", "data.seed")  # jobs that differ in nothing else take equally long
_NO_PART = ("logger",)


@command(HELP, {}, flags=["-m", "--multirun"])
def main(given: Arguments) -> int:
    """The command; returns its exit code."""
    overrides, flags = given.overrides, given.flags
    jobs = compose_all(overrides, flag=bool(flags))
    from src.estimate.table import estimate_table, jobs_table
    from src.runs.summary import one_line

    busy = others_at_work()
    try:
        found = _estimates(jobs)
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") or any(cfg.traceback for cfg in jobs.values()):
            traceback.print_exc()
        fail(f"{one_line(error)} (HYDRA_FULL_ERROR=1 or debug=fast shows the traceback)", code=1)
    print(jobs_table(list(jobs), found) if len(jobs) > 1 else estimate_table(found[0]))
    if busy:
        print(f"\n{busy}")
    for line in {slow_choice(cfg, overrides) for cfg in jobs.values()} - {None}:
        print(f"\n{line}")
    if sooner := _enders(list(jobs.values())):
        print(f"\n{' and '.join(sooner)} may end it sooner: these are all epochs.")
    print(f"\nrun it: {shlex.join(['python', '-m', 'src.train', *flags[:1], *overrides])}")
    return 0


def compose_all(overrides: list[str], *, flag: bool) -> dict[str, DictConfig]:
    """The configuration of each job, by the values in which it differs from the others.

    Raises:
        ConfigError: a job that cannot work or asks for a checkpoint, several processes, or too many jobs.
    """
    if multirun(overrides, flag=flag) is None:
        jobs = {"run": compose_config(overrides, {}, command="the estimate")}
    else:
        named = named_jobs(overrides, flag=flag)
        jobs = {f"{k} {name or 'default'}": cfg for k, (name, cfg) in enumerate(named)}
        precision_override(jobs.values())
    for cfg in jobs.values():
        if cfg.ckpt_path:
            raise ConfigError(
                "ckpt_path plays no part: the estimate starts from fresh weights. Leave it out."
            )
        if not is_one(cfg.trainer.devices) or cfg.trainer.get("num_nodes", 1) != 1:
            raise ConfigError(
                f"the estimate runs one process: got trainer.devices={cfg.trainer.devices}. Add "
                f"trainer=auto or trainer.devices=1, and divide by what your processes gain."
            )
    return jobs


def _estimates(jobs: dict[str, DictConfig]) -> list["Estimate"]:
    """Measure each job once, those that differ in the seed alone together."""
    from src.config.console import log_to_terminal
    from src.estimate.measure import estimate

    log_to_terminal()
    keys = [
        json.dumps(
            {k: v for k, v in flattened(plain(cfg)) if k not in _UNTIMED and k.split(".")[0] not in _NO_PART}
        )
        for cfg in jobs.values()
    ]
    known: dict[str, Estimate] = {}
    for key, cfg in zip(keys, jobs.values(), strict=True):
        if key not in known:
            if len(jobs) > 1:
                print(f"measuring {len(known) + 1} of {len(set(keys))} …", file=sys.stderr, flush=True)
            with TemporaryDirectory() as folder:
                known[key] = estimate(placed(cfg, Path(folder)))
    return [known[key] for key in keys]


def others_at_work() -> str:
    """A line if this machine is busy, before we add to it; where the system does not tell, nothing."""
    load, cores = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, os.cpu_count() or 1
    if load < cores / 2:
        return ""
    return f"other work is running here (load {load:.1f} on {cores} cores): alone, a CPU would be faster."


def _enders(configs: Sequence[DictConfig]) -> list[str]:
    """What could end a run before its last epoch."""
    keys = ("trainer.max_time", "callbacks.early_stopping")
    return [key for key in keys if any(OmegaConf.select(cfg, key) for cfg in configs)]
