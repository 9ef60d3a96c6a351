"""What values make sense: ranges of single keys, and conditions between keys.

A key that a config does not have is not checked, so a new group costs nothing here.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

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
FRACTION = Rule(lambda x: 0 <= x < 1, "at least 0 and less than 1")

RULES: dict[str, Rule] = {
    "seed": between(0, 2**32 - 1),
    "data.batch_size": at_least(1),
    "data.num_workers": at_least(0),
    "data.num_val": at_least(0),
    "data.image_size": at_least(8),
    "data.num_classes": at_least(2),
    "data.test_fraction": Rule(lambda x: 0 < x < 1, "more than 0 and less than 1"),
    "norm.num_groups": at_least(1),
    "norm.momentum": between(0, 1),
    "model.width": at_least(1),
    "optimizer.lr": above(0),
    "optimizer.momentum": FRACTION,
    "optimizer.alpha": FRACTION,
    "optimizer.weight_decay": at_least(0),
    "optimizer.ns_steps": between(1, 99),
    "optimizer.rest.lr": above(0),
    "optimizer.rest.momentum": FRACTION,
    "optimizer.rest.weight_decay": at_least(0),
    "scheduler.pct_start": between(0, 1),
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
    "trainer.max_epochs": at_least(1),
    "trainer.gradient_clip_val": above(0),
    "trainer.accumulate_grad_batches": at_least(1),
    "trainer.check_val_every_n_epoch": at_least(1),
    "trainer.log_every_n_steps": at_least(1),
    "trainer.limit_train_batches": at_least(0),
    "trainer.limit_val_batches": at_least(0),
    "trainer.limit_test_batches": at_least(0),
    "machine.threads": WHOLE,
    "callbacks.early_stopping.patience": at_least(1),
    "callbacks.last.every_minutes": above(0),
    "callbacks.last.every_n_steps": WHOLE,
}

CHOICES: dict[str, tuple[str, ...]] = {
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
        if value is not None and value not in choices:
            yield f"{key} must be one of {', '.join(choices)}: got {value}."
    for condition in (groups_divide_channels, stages_agree, train_images_remain, metrics_exist):
        yield from condition(cfg)


def groups_divide_channels(cfg: DictConfig) -> Iterator[str]:
    width, num_groups = get(cfg, "model.width"), get(cfg, "norm.num_groups")
    if width and num_groups and width % num_groups:
        divisors = [g for g in range(1, width + 1) if width % g == 0]
        yield (
            f"norm.num_groups must divide model.width: got num_groups={num_groups}, width={width}. "
            f"Valid here: {divisors}."
        )


def stages_agree(cfg: DictConfig) -> Iterator[str]:
    lists = {key: get(cfg, key) for key in ("model.strides", "model.num_blocks")}
    for key, values in lists.items():
        if values is not None and not (values and all(isinstance(v, int) and v >= 1 for v in values)):
            yield f"{key} must be a list of whole numbers of 1 or more, one a stage: got {values}."
            return
    lengths = {len(values) for values in lists.values() if values is not None}
    if len(lengths) > 1:
        yield f"model.strides and model.num_blocks must be equally long: got {lists}."


def train_images_remain(cfg: DictConfig) -> Iterator[str]:
    num_val, num_train = get(cfg, "data.num_val"), get(cfg, "data.num_train")
    if num_val and num_train and num_val >= num_train:
        yield (
            f"data.num_val must be less than the {num_train} training images: got {num_val}. "
            f"0 trains on all of them, without validation."
        )


def metrics_exist(cfg: DictConfig) -> Iterator[str]:
    """A run without validation images has no val/acc to wait for."""
    if get(cfg, "data.num_val") != 0 or get(cfg, "data.num_train") is None:
        return
    for key in ("scheduler.monitor", "callbacks.early_stopping.monitor"):
        if str(get(cfg, key)).startswith("val/"):
            yield (
                f"{key}={get(cfg, key)} needs validation images, but data.num_val is 0: "
                f"set data.num_val, or {key}=train/loss with mode min."
            )


def get(cfg: DictConfig, key: str):  # type: ignore[no-untyped-def]  # any plain value
    """The plain value at `key`, or None where there is none or only a running job can tell."""
    try:
        value = OmegaConf.select(cfg, key)
    except OmegaConfBaseException:
        return None
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
