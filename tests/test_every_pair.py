"""Every recipe with every option of every group composes and builds; `size` and `debug` do what they say.

Network, optimizer and schedule are built on torch's meta device, which allocates nothing, once for each
distinct configuration of them.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from hydra import compose
from omegaconf import DictConfig, OmegaConf

from src.config.build import build
from src.config.check import check_jobs
from src.config.errors import ConfigError
from src.config.finished import run_config
from src.config.resolvers import CONF_DIR
from tests.test_every_option import OPTIONS

RECIPES = [option for group, option in OPTIONS if group == "experiment"]
OTHERS = [(group, option) for group, option in OPTIONS if group not in ("experiment", "paths")]
BUILT = ("model", "optimizer", "scheduler", "module")

# What cannot work together is told in one line
NO_VALIDATION = "needs validation images, but data.num_val is 0"
WAIT_FOR_VALIDATION = {("scheduler", "plateau"), ("callbacks", "early_stopping")}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_composes_with_every_option(
    recipe: str, fake_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.config.precision.timing", None)  # nothing here may wait for the processor
    monkeypatch.setattr("src.config.conditions.find_spec", lambda _: object())  # mlflow is not installed
    (alone,) = check_jobs([f"experiment={recipe}"], sweep=False)
    build_on_meta(alone.cfg)
    failed = []
    for group, option in OTHERS:
        overrides = [f"experiment={recipe}", f"{group}={option}"]
        if option == "image_folder":
            overrides.append(f"data.root='{fake_folder}'")
        try:
            (job,) = check_jobs(overrides, sweep=False)
            build_on_meta(job.cfg)
            promised(group, option, job.cfg)
            assert job.options[group] == option
        except ConfigError as refusal:
            waits = (group, option) in WAIT_FOR_VALIDATION and alone.cfg.data.num_val == 0
            if not (waits and NO_VALIDATION in str(refusal)):
                failed.append(f"{overrides}: {refusal}")
        except Exception as error:
            failed.append(f"{overrides}: {type(error).__name__}: {error}")
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
    def composed(*args: object, **how: object) -> DictConfig:
        cfg = compose(*args, **how)  # type: ignore[arg-type]
        cfg.when = OmegaConf.create(f"{{{block}}}")
        return cfg

    monkeypatch.setattr("src.config.check.compose", composed)
    with pytest.raises(ConfigError) as caught:
        check_jobs([], sweep=False)
    assert words in str(caught.value)
