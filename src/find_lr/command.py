"""Suggest a learning rate: `python -m src.find_lr [group=option …] [key=value …]`, as for src.train."""

import logging
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from src.command import Arguments, command, results_folder, results_in
from src.config.errors import ConfigError
from src.config.finished import placed
from src.config.fresh import compose_config, variant_name
from src.runs.table import shown

log = logging.getLogger(__name__)

HELP = """\
Suggest a learning rate for any composition by a range test (Smith 2017, arXiv:1506.01186): train on a
few hundred batches, raise the learning rate after each, and see at which rate the loss is lowest.

  python -m src.find_lr [group=option …] [key=value …]

  low=1e-6 high=10   the learning rates, from and to
  steps=200          how many of them; each takes one step of training
  mode=exponential   evenly spaced on a logarithmic axis; or linear
  smoothing=0.05     share of the sweep over which losses are averaged; an average that keeps 0.98 a step
                     (Gugger 2018, "How Do You Find A Good Learning Rate") is that of 1000 steps
  stop=4             end where the smoothed loss exceeds its lowest value times this
  validate=0         look at the loss of so many validation images instead of the batch's: slower, and for
                     norm=bn only with a large norm.momentum, which its statistics follow fast enough
  skip_start=0 skip_end=0   steps at either end that the suggestion and the picture leave out
  out=<folder>       where results go; outputs/find_lr/runs/<time>_<overrides> if not given
  --quiet            print optimizer.lr=<suggestion> and nothing else

Everything else is an override as for src.train. Network, loss, optimizer, clipping, accumulation and
training batches are the composition's; its schedule, the validation and the test play no part.

What the number means: the learning rate that led to the lowest loss, the edge beyond which the loss
rises. It is meant for the top of a schedule, the optimizer.lr of onecycle and cosine; at a constant
rate try a third of it, too. Where the loss falls fastest is shown beside it: a lower bound, which for
losses that fall over a wide range of rates (norm=ln) may lie far too low.

Training with the suggestion at once (at the default rate, after a line that says why, if there is none):
  python -m src.train norm=ln $(python -m src.find_lr norm=ln --quiet)

Examples:
  python -m src.find_lr experiment=cpu
  python -m src.find_lr norm=ln optimizer=adam high=1 steps=400"""

OWN = {
    "low": "1e-6",
    "high": "10",
    "steps": "200",
    "mode": "exponential",
    "smoothing": "0.05",
    "stop": "4",
    "validate": "0",
    "skip_start": "0",
    "skip_end": "0",
    "out": "",
}
_MIN_STEPS = 20  # fewer show no curve


@command(HELP, OWN, flags=["--quiet"])
def main(given: Arguments) -> int:
    """The command; returns its exit code: 1 also where there is no suggestion."""
    overrides, quiet = given.overrides, bool(given.flags)
    sweep = sweep_of(given.own)
    cfg = compose_config(overrides, OWN, command="the test")
    stamp = f"{time.strftime('%y%m%d-%H%M')}_{variant_name(overrides)}"
    out = results_folder(given.own["out"] or Path(cfg.paths.output_dir) / "find_lr" / "runs" / stamp)
    with results_in(out, "find_lr.log", show=cfg.traceback):
        from src.find_lr.measure import Sweep, find_lr

        if quiet:
            _only_errors()
        found = find_lr(placed(cfg, out), Sweep(**sweep), show_progress=not quiet)
    if found is None:
        log.error(
            "error: the loss never falls by more than its noise from low=%g to high=%g: try other bounds "
            "or more steps (picture: %s).",
            sweep["low"],
            sweep["high"],
            shown(out / "find_lr.png"),
        )
        return 1
    use = f"optimizer.lr={found.minimum:.3g}"
    others = [o for o in overrides if o.partition("=")[0].lstrip("+") != "optimizer.lr"]
    log.info("lowest loss       lr %-8.3g  (default: %g)", found.minimum, cfg.optimizer.lr)
    log.info("steepest descent  lr %-8.3g  (a lower bound)", found.steepest)
    log.info("use: %s", use)
    log.info("     %s", shlex.join(["python", "-m", "src.train", *others, use]))
    log.info("results: %s", shown(out))
    if quiet:
        print(use)
    return 0


def sweep_of(own: dict[str, str]) -> dict[str, Any]:
    """The own arguments as a `Sweep` takes them.

    Raises:
        ConfigError: one of them cannot work.
    """
    numbers: dict[str, float] = {}
    for key in ("low", "high", "steps", "smoothing", "stop", "validate", "skip_start", "skip_end"):
        try:
            numbers[key] = float(own[key])
        except ValueError:
            raise ConfigError(f"{key} must be a number: got {own[key]}. Default: {OWN[key]}.") from None
    low, high, steps, smoothing, stop, validate, *skips = numbers.values()
    wrong = {
        f"low and high must be 0 < low < high: got low={own['low']} high={own['high']}.": 0
        < low
        < high
        < float("inf"),
        f"steps must be a whole number from {_MIN_STEPS}: got {own['steps']}.": steps.is_integer()
        and steps >= _MIN_STEPS,
        f"mode must be exponential or linear: got {own['mode']}.": own["mode"] in ("exponential", "linear"),
        f"smoothing must be above 0 and at most 0.5: got {own['smoothing']}.": 0 < smoothing <= 0.5,
        f"stop must be above 1: got {own['stop']}.": stop > 1,
        f"validate must be a number of images, 0 or more: got {own['validate']}.": validate.is_integer()
        and validate >= 0,
        f"skip_start and skip_end must be 0 or more and leave {_MIN_STEPS} of {own['steps']} steps: "
        f"got skip_start={own['skip_start']} skip_end={own['skip_end']}.": all(
            skip.is_integer() and skip >= 0 for skip in skips
        )
        and steps - sum(skips) >= _MIN_STEPS,
    }
    for message, right in wrong.items():
        if not right:
            raise ConfigError(message)
    whole = {key: int(numbers[key]) for key in ("steps", "validate", "skip_start", "skip_end")}
    return numbers | whole | {"mode": own["mode"]}


def _only_errors() -> None:
    """Send errors alone to the terminal, to standard error; the file has everything."""
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.ERROR)
    logging.getLogger().handlers[0] = terminal
