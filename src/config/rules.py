"""What values make sense: ranges of single keys; `src.config.conditions` has what goes beyond one.

A key that a config does not have is not checked, so a new group costs nothing here.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from omegaconf import DictConfig

from src.config.conditions import CONDITIONS, get, numbers_are_finite

# Their defaults say less about their type than Lightning's documentation does.
MISTYPED_ON_PURPOSE = {
    *("trainer.devices", "trainer.precision", "trainer.strategy", "trainer.profiler"),
    "trainer.gradient_clip_val",  # null: no clipping
    *("callbacks.last.every_minutes", "callbacks.last.every_n_steps"),
}


class _Rule(NamedTuple):
    """A test of a value, and the words that complete `key must be …`."""

    holds: Callable[[float], bool]
    words: str


def _at_least(low: float) -> _Rule:
    return _Rule(lambda x: x >= low, f"{low} or more")


def above(low: float) -> _Rule:
    return _Rule(lambda x: x > low, f"more than {low}")


def between(low: float, high: float) -> _Rule:
    return _Rule(lambda x: low <= x <= high, f"between {low} and {high}")


WHOLE = _Rule(lambda x: x >= 1 and x == int(x), "a whole number of 1 or more")


def _share_or_count(x: float) -> bool:
    """As Lightning reads it: 1.0 is all batches, 1 is one."""
    return x >= 0 and (isinstance(x, int) or x <= 1)


_FRACTION = _Rule(lambda x: 0 <= x < 1, "at least 0 and less than 1")
_INNER = _Rule(lambda x: 0 < x < 1, "more than 0 and less than 1")
BATCHES = _Rule(_share_or_count, "a whole number of batches, or a fraction from 0.0 to 1.0")
_SOME_BATCHES = _Rule(
    lambda x: x > 0 and _share_or_count(x), "a whole number of batches, or a fraction up to 1.0"
)

_RULES: dict[str, _Rule] = {
    "seed": between(0, 2**32 - 1),
    "data.batch_size": _at_least(1),
    "data.num_workers": between(0, 512),  # each a process
    "data.num_val": _at_least(0),
    "data.image_size": between(8, 4096),
    "data.num_classes": _at_least(2),
    "data.test_fraction": _INNER,
    "norm.num_groups": _at_least(1),
    "norm.momentum": between(0, 1),
    "model.width": between(1, 4096),
    "optimizer.lr": above(0),
    "optimizer.momentum": _FRACTION,
    "optimizer.alpha": _FRACTION,
    "optimizer.weight_decay": _at_least(0),
    "optimizer.ns_steps": between(1, 99),
    "optimizer.rest.lr": above(0),
    "optimizer.rest.momentum": _FRACTION,
    "optimizer.rest.weight_decay": _at_least(0),
    "scheduler.pct_start": _INNER,
    "scheduler.warmup": _FRACTION,
    "scheduler.end": between(0, 1),
    "scheduler.step_size": _at_least(1),
    "scheduler.gamma": _Rule(lambda x: 0 < x <= 1, "more than 0 and at most 1"),
    "scheduler.factor": _Rule(lambda x: 0 < x <= 1, "more than 0 and at most 1"),
    "scheduler.patience": _at_least(0),
    "scheduler.div_factor": _at_least(1),
    "scheduler.final_div_factor": _at_least(1),
    "loss.label_smoothing": between(0, 1),
    "average.decay": _FRACTION,
    "average.every_n_steps": _at_least(1),
    "module.l1": _at_least(0),
    "select.fraction": _Rule(lambda x: 0 < x <= 1, "more than 0 and at most 1"),
    "tta.shift": _at_least(0),
    **{f"module.lr_factors.{kind}": above(0) for kind in ("head", "scale", "bias")},
    **{f"module.decay_factors.{kind}": _at_least(0) for kind in ("head", "scale", "bias")},
    "trainer.max_epochs": between(1, 1_000_000),
    "trainer.max_steps": _Rule(lambda x: x == -1 or x >= 1, "1 or more, or -1: as many as max_epochs takes"),
    "trainer.gradient_clip_val": above(0),
    "trainer.accumulate_grad_batches": _at_least(1),
    "trainer.check_val_every_n_epoch": _at_least(1),
    "trainer.log_every_n_steps": _at_least(1),
    "trainer.limit_train_batches": _SOME_BATCHES,
    "trainer.limit_val_batches": BATCHES,
    "trainer.limit_test_batches": BATCHES,
    "trainer.overfit_batches": BATCHES,
    "trainer.num_sanity_val_steps": _at_least(-1),
    "trainer.num_nodes": _at_least(1),
    "machine.threads": _Rule(lambda x: 1 <= x <= 1024 and x == int(x), "a whole number from 1 to 1024"),
    "callbacks.samples.num_images": _at_least(1),
    **{f"callbacks.{name}.num_images": _at_least(0) for name in ("misclassified", "grad_cam", "evidence")},
    **{f"callbacks.{name}.num_in_png": _at_least(1) for name in ("grad_cam", "evidence")},
    **{
        f"callbacks.{name}.every_n_epochs": _at_least(1) for name in ("misclassified", "grad_cam", "evidence")
    },
    "callbacks.early_stopping.patience": _at_least(1),
    "callbacks.last.every_minutes": above(0),
    "callbacks.last.every_n_steps": WHOLE,
}

_PRECISIONS = (
    "auto",
    "32-true",
    "bf16-mixed",
    "16-mixed",
    "bf16-true",
    "16-true",
    "64-true",
    "32",
    "16",
    "64",
    "bf16",
)
_MONITORS = ("val/acc", "val/loss", "train/acc", "train/loss")  # not test/…: the test set chooses nothing

_CHOICES: dict[str, tuple[str, ...]] = {
    "trainer.precision": _PRECISIONS,
    "auto_precision": ("32-true", "bf16-mixed"),
    "trainer.profiler": ("simple", "advanced"),
    "callbacks.best.monitor": _MONITORS,
    "callbacks.early_stopping.monitor": _MONITORS,
    "scheduler.monitor": _MONITORS,
    "trainer.accelerator": ("auto", "cpu", "gpu", "cuda", "mps"),
    "trainer.gradient_clip_algorithm": ("value", "norm"),
    "machine.matmul_precision": ("highest", "high", "medium"),
    "scheduler.anneal_strategy": ("cos", "linear"),
    "scheduler.interval": ("step", "epoch"),
    "rerun": ("unfinished", "failed", "all"),
    "scheduler.mode": ("min", "max"),
}


def problems(cfg: DictConfig) -> Iterator[str]:
    """Say, in one line each, what in `cfg` cannot work."""
    yield from numbers_are_finite(cfg)
    for key, rule in _RULES.items():
        value = get(cfg, key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield f"{key} must be a number, {rule.words}: got {value!r}."
        elif not rule.holds(value):
            yield f"{key} must be {rule.words}: got {value}."
    for key, choices in _CHOICES.items():
        value = get(cfg, key)
        if value is not None and str(value) not in choices:
            yield f"{key} must be one of {', '.join(choices)}: got {value}."
    for condition in CONDITIONS:
        yield from condition(cfg)
