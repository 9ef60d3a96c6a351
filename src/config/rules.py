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


class Rule(NamedTuple):
    """A test of a value, and the words that complete `key must be …`."""

    holds: Callable[[float], bool]
    words: str


def at_least(low: float) -> Rule:
    return Rule(lambda x: x >= low, f"{low} or more")


def above(low: float) -> Rule:
    return Rule(lambda x: x > low, f"more than {low}")


def between(low: float, high: float) -> Rule:
    return Rule(lambda x: low <= x <= high, f"between {low} and {high}")


WHOLE = Rule(lambda x: x >= 1 and x == int(x), "a whole number of 1 or more")


def share_or_count(x: float) -> bool:
    """As Lightning reads it: 1.0 is all batches, 1 is one."""
    return x >= 0 and (isinstance(x, int) or x <= 1)


FRACTION = Rule(lambda x: 0 <= x < 1, "at least 0 and less than 1")
INNER = Rule(lambda x: 0 < x < 1, "more than 0 and less than 1")
BATCHES = Rule(share_or_count, "a whole number of batches, or a fraction from 0.0 to 1.0")
SOME_BATCHES = Rule(
    lambda x: x > 0 and share_or_count(x), "a whole number of batches, or a fraction up to 1.0"
)

RULES: dict[str, Rule] = {
    "seed": between(0, 2**32 - 1),
    "data.batch_size": at_least(1),
    "data.num_workers": between(0, 512),  # each a process
    "data.num_val": at_least(0),
    "data.image_size": between(8, 4096),
    "data.num_classes": at_least(2),
    "data.test_fraction": INNER,
    "norm.num_groups": at_least(1),
    "norm.momentum": between(0, 1),
    "model.width": between(1, 4096),
    "optimizer.lr": above(0),
    "optimizer.momentum": FRACTION,
    "optimizer.alpha": FRACTION,
    "optimizer.weight_decay": at_least(0),
    "optimizer.ns_steps": between(1, 99),
    "optimizer.rest.lr": above(0),
    "optimizer.rest.momentum": FRACTION,
    "optimizer.rest.weight_decay": at_least(0),
    "scheduler.pct_start": INNER,
    "scheduler.warmup": FRACTION,
    "scheduler.end": between(0, 1),
    "scheduler.step_size": at_least(1),
    "scheduler.gamma": Rule(lambda x: 0 < x <= 1, "more than 0 and at most 1"),
    "scheduler.factor": Rule(lambda x: 0 < x <= 1, "more than 0 and at most 1"),
    "scheduler.patience": at_least(0),
    "scheduler.div_factor": at_least(1),
    "scheduler.final_div_factor": at_least(1),
    "loss.label_smoothing": between(0, 1),
    "average.decay": FRACTION,
    "average.every_n_steps": at_least(1),
    "module.l1": at_least(0),
    "select.fraction": Rule(lambda x: 0 < x <= 1, "more than 0 and at most 1"),
    "tta.shift": at_least(0),
    **{f"module.lr_factors.{kind}": above(0) for kind in ("head", "scale", "bias")},
    **{f"module.decay_factors.{kind}": at_least(0) for kind in ("head", "scale", "bias")},
    "trainer.max_epochs": between(1, 1_000_000),
    "trainer.max_steps": Rule(lambda x: x == -1 or x >= 1, "1 or more, or -1: as many as max_epochs takes"),
    "trainer.gradient_clip_val": above(0),
    "trainer.accumulate_grad_batches": at_least(1),
    "trainer.check_val_every_n_epoch": at_least(1),
    "trainer.log_every_n_steps": at_least(1),
    "trainer.limit_train_batches": SOME_BATCHES,
    "trainer.limit_val_batches": BATCHES,
    "trainer.limit_test_batches": BATCHES,
    "trainer.overfit_batches": BATCHES,
    "trainer.num_sanity_val_steps": at_least(-1),
    "trainer.num_nodes": at_least(1),
    "machine.threads": Rule(lambda x: 1 <= x <= 1024 and x == int(x), "a whole number from 1 to 1024"),
    "callbacks.samples.num_images": at_least(1),
    **{f"callbacks.{name}.num_images": at_least(0) for name in ("misclassified", "grad_cam", "evidence")},
    **{f"callbacks.{name}.num_in_png": at_least(1) for name in ("grad_cam", "evidence")},
    **{f"callbacks.{name}.every_n_epochs": at_least(1) for name in ("misclassified", "grad_cam", "evidence")},
    "callbacks.early_stopping.patience": at_least(1),
    "callbacks.last.every_minutes": above(0),
    "callbacks.last.every_n_steps": WHOLE,
}

PRECISIONS = (
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
MONITORS = ("val/acc", "val/loss", "train/acc", "train/loss")  # not test/…: the test set chooses nothing

CHOICES: dict[str, tuple[str, ...]] = {
    "trainer.precision": PRECISIONS,
    "auto_precision": ("32-true", "bf16-mixed"),
    "trainer.profiler": ("simple", "advanced"),
    "callbacks.best.monitor": MONITORS,
    "callbacks.early_stopping.monitor": MONITORS,
    "scheduler.monitor": MONITORS,
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
    for key, rule in RULES.items():
        value = get(cfg, key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield f"{key} must be a number, {rule.words}: got {value!r}."
        elif not rule.holds(value):
            yield f"{key} must be {rule.words}: got {value}."
    for key, choices in CHOICES.items():
        value = get(cfg, key)
        if value is not None and str(value) not in choices:
            yield f"{key} must be one of {', '.join(choices)}: got {value}."
    for condition in CONDITIONS:
        yield from condition(cfg)
