"""Every recipe with every option of every group composes and builds; `size` and `debug` do what they say.

Network, optimizer and schedule are built on torch's meta device, which allocates nothing, once for each
distinct configuration of them.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from src.config.build import build
from src.config.check import Job, check_jobs
from src.config.errors import ConfigError
from src.config.finished import run_config
from src.config.resolvers import CONF_DIR
from src.config.when import apply_when
from tests.test_every_option import OPTIONS

RECIPES = [option for group, option in OPTIONS if group == "experiment"]
OTHERS = [(group, option) for group, option in OPTIONS if group not in ("experiment", "paths")]
BUILT = ("model", "optimizer", "scheduler", "module")

ALONE = ("size", "debug", "trainer")  # they set keys of the others, and promise what they set
# What cannot work together with data.num_val=0
WAIT_FOR_VALIDATION = {("scheduler", "plateau"), ("callbacks", "early_stopping")}


def test_rows_hold_every_option_once_or_more() -> None:
    rows = list(together(set()))
    assert {(group, option) for row in rows for group, option in row} == {
        (group, option) for group, option in OTHERS if group not in ALONE
    }
    assert len(rows) == max(Counter(group for group, _ in OTHERS if group not in ALONE).values())


def together(without: set[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """One option of every group at a time, each option at least once: a quarter of the compositions."""
    groups = {group: [o for g, o in OTHERS if g == group and (g, o) not in without] for group, _ in OTHERS}
    found = {group: options for group, options in groups.items() if group not in ALONE}
    for k in range(max(map(len, found.values()))):
        yield [(group, options[k % len(options)]) for group, options in found.items()]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_composes_with_every_option(
    recipe: str, fake_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.config.precision.timing", None)  # nothing here may wait for the processor
    monkeypatch.setattr("src.config.conditions.find_spec", lambda _: object())  # mlflow is not installed

    def composed(row: list[tuple[str, str]]) -> Job:
        overrides = [f"experiment={recipe}", *(f"{group}={option}" for group, option in row)]
        if ("data", "image_folder") in row:
            overrides.append(f"data.root='{fake_folder}'")
        (job,) = check_jobs(overrides, sweep=False)
        return job

    alone = composed([])
    build_on_meta(alone.cfg)
    refused = WAIT_FOR_VALIDATION if alone.cfg.data.num_val == 0 else set()
    for group, option in refused:
        with pytest.raises(ConfigError, match="needs validation images, but data.num_val is 0"):
            composed([(group, option)])
    failed = []
    for row in [*together(refused), *([pair] for pair in OTHERS if pair[0] in ALONE)]:
        try:
            job = composed(row)
            build_on_meta(job.cfg)
            for group, option in row:
                promised(group, option, job.cfg)
                assert job.options[group] == option
        except Exception as error:
            failed.append(f"{recipe} {row}: {type(error).__name__}: {error}")
    assert failed == []


def build_on_meta(cfg: DictConfig) -> None:
    """Build the network, the optimizer over all of its parameters, and the schedule."""
    parts = {key: OmegaConf.to_container(cfg[key], resolve=True) for key in BUILT}
    build_parts(json.dumps(parts, sort_keys=True))


@cache
def build_parts(parts: str) -> None:
    cfg = OmegaConf.create(json.loads(parts))
    with torch.device("meta"):
        module = build(cfg.module)
        optimizer = module.make_optimizer()
        module.schedule.bind(optimizer, total_steps=100, total_epochs=10)
    assert all(part is None or callable(part) for part in (module.resize, module.select, module.tta))


def promised(group: str, option: str, cfg: DictConfig) -> None:
    """Assert what the files of `size`, `debug` and `trainer=debug` say of themselves."""
    trainer = cfg.trainer
    if group == "size":
        epochs, width = {"cpu": (5, 16), "gpu": (30, 64)}[option]
        assert (trainer.max_epochs, cfg.model.width) == (epochs, width)
    if (group, option) in (("debug", "fast"), ("trainer", "debug")):
        limits = (trainer.limit_train_batches, trainer.limit_val_batches, trainer.limit_test_batches)
        assert (trainer.max_epochs, trainer.accelerator, limits) == (1, "cpu", (2, 2, 2))
    if (group, option) == ("debug", "overfit"):
        assert (trainer.max_epochs, trainer.overfit_batches, trainer.gradient_clip_val) == (30, 3, None)
        assert cfg.scheduler.factory._target_.endswith("ConstantLR")
        assert list(cfg.augment) == ["_target_"]  # no operations
    if (group, option) == ("debug", "profile"):
        assert (trainer.max_epochs, trainer.profiler, trainer.limit_train_batches) == (1, "simple", 30)
    if group == "debug":
        assert (cfg.task_name, cfg.data.num_workers) == ("debug", 0)


def test_values_of_a_recipe_stay_with_their_option() -> None:
    def optimizer(*overrides: str) -> DictConfig:
        return check_jobs(list(overrides), sweep=False)[0].cfg.optimizer

    assert (optimizer("experiment=cpu").lr, optimizer("experiment=cpu").nesterov) == (0.2, True)
    typed = optimizer("experiment=cpu", "optimizer=sgd", "optimizer.lr=0.3")
    assert (typed.lr, typed.nesterov) == (0.3, True)
    for recipe, name in [
        ("cpu", "adam"),
        ("quickstart", "lion"),
        ("speed_86", "sgd"),
        ("resnet18_ln", "adamw"),
    ]:
        assert optimizer(f"experiment={recipe}", f"optimizer={name}") == optimizer(f"optimizer={name}")


def test_a_finished_run_is_tested_under_what_was_chosen_for_that(run_tiny: Callable[..., Path]) -> None:
    run = run_tiny("data=digits", "model.width=4", "callbacks=none", "logger=none", "debug=fast")
    assert run_config(run, []).trainer.limit_test_batches == 1.0
    assert run_config(run, ["trainer=debug"]).trainer.limit_test_batches == 2
    assert run_config(run, ["trainer=debug", "trainer.limit_test_batches=3"]).trainer.limit_test_batches == 3


def test_every_when_names_an_option() -> None:
    files = [path for path in CONF_DIR.rglob("*.yaml") if "when:" in path.read_text(encoding="utf-8")]
    choices = {choice for path in files for choice in OmegaConf.load(path).get("when", {})}
    assert len(choices) > 5
    assert choices <= {f"{group}={option}" for group, option in OPTIONS}


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (
            "optimizer=sgdd: {optimizer: {lr: 0.1}}",
            "when: optimizer=sgdd is no option of a group. Did you mean",
        ),
        ("optimizer: {lr: 0.1}", "when: optimizer is no option of a group."),
        ("optimiser=sgd: {optimizer: {lr: 0.1}}", "when: optimiser=sgd is no option of a group."),
        (
            "optimizer=sgd: {optimizer: {betas: [0.9, 0.99]}}",
            "when: optimizer=sgd: Key 'betas' is not in struct.",
        ),
        ("optimizer=sgd: 0.1", "when: optimizer=sgd: "),
    ],
)
def test_a_mistake_in_when_is_told(block: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def apply(cfg: DictConfig, *args: Any) -> None:
        cfg.when = OmegaConf.create(f"{{{block}}}")
        apply_when(cfg, *args)

    monkeypatch.setattr("src.config.hydra_private.apply_when", apply)
    monkeypatch.setattr("src.config.hydra_private._kept", {})
    with pytest.raises(ConfigError) as caught:
        check_jobs([], sweep=False)
    assert words in str(caught.value)
