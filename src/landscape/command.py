"""The loss around a run's weights: `python -m src.landscape run=<run folder> [to=<other run>]`."""

import logging
from pathlib import Path

from src.command import Arguments, command, results_folder, results_in
from src.config.errors import ConfigError
from src.config.finished import checkpoint_of, finished_run, placed, run_config, words
from src.runs.table import shown

log = logging.getLogger(__name__)

HELP = """\
Walk away from a run's weights and watch the validation loss: along a random direction, filter by filter as
long as the weights (Li et al. 2018, arXiv:1712.09913), or on the straight line to another run's weights.

  python -m src.landscape run=<run folder> [to=<run folder>] [key=value …]

  run=<folder>      the run: outputs/<task_name>/runs/<time>_<overrides>; latest: the newest that is completed
  to=<folder>       another run of the same network: another optimizer, schedule or seed (with
                    data.seed=0 in both, so that both leave out the same validation images)
  points=21         places, evenly spaced
  reach=1           how far along the random direction, both ways; 1: as long as the weights
  images=2000       validation images, the first ones
  direction=0       seed of the random direction
  ckpt=best|last    which weights; best where the run kept one
  out=<folder>      where results go; <run folder>/landscape… if not given
  allow=<names>     callables that the run's configuration may name although no file in conf/ does

BatchNorm's statistics are measured again at every place, on training images. What to look for: a wide
valley is one that small changes of the weights do not leave. Between two runs, the barrier is how far the
loss rises above the straight line between its ends; 0 says that the two found the same valley.

Examples:
  python -m src.landscape run=outputs/train/runs/<run>
  python -m src.landscape run=outputs/train/runs/<run> to=outputs/train/runs/<other> points=11"""

OWN = {"run": "???", "to": "", "points": "21", "reach": "1", "images": "2000", "direction": "0"}
OWN |= {"ckpt": "", "out": "", "allow": ""}
_LIMITS = {"points": 3, "images": 1, "direction": 0}
LARGEST = 2**32 - 1


@command(HELP, OWN)
def main(given: Arguments) -> int:
    """The command; returns its exit code."""
    own = given.own
    counts = {key: whole(own, key) for key in _LIMITS}
    reach = above_zero(own, "reach")
    run_dir, checkpoint, cfg = finished_run(own, given.overrides)
    to = checkpoint_of(Path(own["to"]), own["ckpt"]) if own["to"] else None
    same_split = (
        not to or run_config(Path(own["to"]), [], allow=words(own["allow"])).data.seed == cfg.data.seed
    )
    out = results_folder(own["out"] or run_dir / "landscape" / checkpoint.stem)
    with results_in(out, "landscape.log", show=cfg.traceback):
        import numpy as np

        from src.landscape.line import barrier
        from src.landscape.measure import landscape

        points = landscape(
            placed(cfg, out),
            checkpoint,
            np.linspace(0 if to else -reach, 1 if to else reach, counts["points"]),
            to=to,
            num_images=counts["images"],
            seed=counts["direction"],
        )
    if not same_split:
        log.info(
            "the other run has trained on some of these images: its data.seed, which splits validation off, "
            "is another. Runs with seed=0,1 data.seed=0 compare."
        )
    log.info("%8s  %8s  %8s", "place", "loss", "accuracy")
    for point in points:
        log.info("%8.3g  %8.4f  %8.2f%%", point.place, point.loss, 100 * point.acc)
    if to:
        log.info("\nbarrier: %.4f nats", barrier(points))
    log.info("\nresults: %s", shown(out))
    return 0


def whole(own: dict[str, str], key: str) -> int:
    """An own argument as a whole number.

    Raises:
        ConfigError: it is none, or too small.
    """
    if not own[key].isdecimal() or not _LIMITS[key] <= int(own[key]) <= LARGEST:
        raise ConfigError(
            f"{key} must be a whole number from {_LIMITS[key]} to {LARGEST}: got {own[key]}. "
            f"Default: {OWN[key]}."
        )
    return int(own[key])


def above_zero(own: dict[str, str], key: str) -> float:
    """An own argument as a number.

    Raises:
        ConfigError: it is none, or not above 0.
    """
    try:
        value = float(own[key])
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"{key} must be a number above 0: got {own[key]}. Default: {OWN[key]}.")
    return value
