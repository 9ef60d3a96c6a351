"""Search spaces: what their files mean, and what is wrong with them in one line."""

from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from src.config.errors import ConfigError
from src.tune.search_space import ends, overrides, parse
from src.tune.searches import search_space, searches


def test_entries_become_distributions() -> None:
    space = parse(
        {
            "optimizer.lr": {"low": 1e-3, "high": 1.0, "log": True},
            "loss.label_smoothing": {"low": 0, "high": 0.2},
            "optimizer.momentum": {"low": 0.8, "high": 0.98, "step": 0.02},
            "trainer.max_epochs": {"low": 5, "high": 20, "step": 5},
            "model.width": {"low": 4, "high": 64, "log": True},
            "optimizer": {"choices": ["sgd", "adamw"]},
            "data.batch_size": {"choices": [1, 64, True, None, 1e-5, [1, 2]]},
        }
    )
    assert space == {
        "optimizer.lr": FloatDistribution(1e-3, 1.0, log=True),
        "loss.label_smoothing": FloatDistribution(0.0, 0.2),
        "optimizer.momentum": FloatDistribution(0.8, 0.98, step=0.02),
        "trainer.max_epochs": IntDistribution(5, 20, step=5),
        "model.width": IntDistribution(4, 64, log=True),
        "optimizer": CategoricalDistribution(["sgd", "adamw"]),
        "data.batch_size": CategoricalDistribution(["1", "64", "true", "null", "1e-05", "[1,2]"]),
    }
    assert ends(space["optimizer.lr"]) == ["0.001", "1"]
    assert ends(space["trainer.max_epochs"]) == ["5", "20"]
    assert ends(space["optimizer"]) == ["sgd", "adamw"]


def test_values_are_typed_with_four_digits() -> None:
    params = {"optimizer": "sgd", "optimizer.lr": 0.0123456, "b": 2.34567e-05, "trainer.max_epochs": 12345}
    typed = ["optimizer=sgd", "optimizer.lr=0.01235", "b=2.346e-05", "trainer.max_epochs=12345"]
    assert overrides(params) == typed


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"low": 1}, "k must have {low: …, high: …} with log: true or step: …"),
        ({"lo": 1, "high": 2}, "got {'lo': 1, 'high': 2}."),
        ({"low": 1, "high": 2, "log": "yes"}, "k must have"),
        ({"low": 1, "high": 2, "base": 2}, "k must have"),
        ({"choices": []}, "k must have"),
        ({"choices": ["a"], "low": 1}, "k must have"),
        (0.1, "k must have"),
        ({"choices": ["a", "b", "a"]}, "k: choices must differ: got a, b, a."),
        ({"low": 2, "high": 1}, "k: low must be below high: got low=2 high=1."),
        ({"low": 0.0, "high": float("nan")}, "k: low must be below high: got low=0.0 high=nan."),
        (
            {"low": 0, "high": 1, "log": True},
            "k: log: true needs a low above 0 and no step: got low=0 high=1.",
        ),
        ({"low": 1, "high": 9, "log": True, "step": 2}, "and no step: got low=1 high=9 step=2."),
        ({"low": 0.0, "high": 1.0, "step": 0.3}, "k: step must lead from low to high: got"),
        ({"low": 1, "high": 3, "step": 0}, "k: step must lead from low to high: got low=1 high=3 step=0."),
        ({"low": 1, "high": 3, "step": 0.5}, "k: step must be a whole number between whole numbers: got"),
    ],
)
def test_entries_that_mean_nothing(entry: object, words: str) -> None:
    with pytest.raises(ValueError, match=r"^k[^\n]*$") as caught:
        parse({"k": entry})
    assert words in str(caught.value)


@pytest.mark.parametrize("name", [path.stem for path in searches()])
def test_every_search_composes(name: str) -> None:
    assert search_space(name, ["data=digits"]), "every corner has been composed and checked"


def test_the_searches_are_found() -> None:
    assert {path.stem for path in searches()} >= {"default", "sgd", "schedule"}


def test_what_is_set_is_not_searched() -> None:
    given = ["optimizer=sgd", "optimizer.lr=0.1"]
    assert list(search_space("default", given)) == ["optimizer.weight_decay", "loss.label_smoothing"]
    with pytest.raises(ConfigError, match="search=schedule: the overrides set all of its keys: nothing is"):
        search_space("schedule", ["scheduler=cosine", "optimizer.lr=0.1"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimizer.lrr: {low: 0.1, high: 1.0}", "optimizer.lrr does not exist. Did you mean optimizer.lr?"),
        # AdamW has no momentum
        (
            "optimizer: {choices: [sgd, adamw]}\noptimizer.momentum: {low: 0.5, high: 0.9}",
            " with optimizer=adamw: optimizer.momentum does not exist.",
        ),
        ("optimizer: {choices: [sgd, adamx]}", "optimizer=adamx does not exist. Did you mean optimizer=adam"),
        (
            "optimizer.momentum: {low: 0.5, high: 1.5}",
            "optimizer.momentum must be at least 0 and less than 1",
        ),
        ("trainer.max_epochs: {low: 1.0, high: 2.5}", "trainer.max_epochs must be a whole number: got 2.5."),
        ("data.batch_size: {choices: [64, many]}", "data.batch_size must be a whole number: got 'many'."),
        ("", "there is nothing to search"),
        ("- 1", "there is nothing to search"),
        ("optimizer.lr: {low: 0.1,", "mine.yaml: "),
        ("optimizer.lr: 0.1", "optimizer.lr must have {low: …, high: …}"),
    ],
)
def test_files_that_cannot_work(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"^search=[^\n]*$") as caught:
        search_space(str(tmp_path / "mine.yaml"), ["data=digits"])
    assert words in str(caught.value)
