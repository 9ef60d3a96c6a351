"""Search spaces: what their files mean, and what is wrong with them in one line."""

from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from src.config.errors import ConfigError
from src.tune.search_space import ends, overrides, parse, search_space, searches, split


def test_entries_become_distributions() -> None:
    space = parse(
        {
            "optimizer.lr": "tag(log, interval(1e-3, 1))",
            "loss.label_smoothing": "interval(0, 0.2)",
            "optimizer.momentum": "range(0.8, 1.0, 0.02)",
            "trainer.max_epochs": "range(5, 21, step=5)",
            "model.width": "tag(log, int(interval(4, 64)))",
            "optimizer": "choice(sgd, adamw)",
            "data.batch_size": "1, 64, true, null, 1e-5, [1,2], 'a b'",
        }
    )
    assert space == {
        "optimizer.lr": FloatDistribution(1e-3, 1.0, log=True),
        "loss.label_smoothing": FloatDistribution(0.0, 0.2),
        "optimizer.momentum": FloatDistribution(0.8, 0.98, step=0.02),
        "trainer.max_epochs": IntDistribution(5, 20, step=5),
        "model.width": IntDistribution(4, 64, log=True),
        "optimizer": CategoricalDistribution(["sgd", "adamw"]),
        "data.batch_size": CategoricalDistribution(["1", "64", "True", "null", "1e-05", "[1,2]", "'a b'"]),
    }
    assert ends(space["optimizer.lr"]) == ["0.001", "1"]
    assert ends(space["trainer.max_epochs"]) == ["5", "20"]
    assert ends(space["optimizer"]) == ["sgd", "adamw"]


def test_overrides_with_several_values_are_a_space() -> None:
    space, fixed = split(
        ["data=digits", "norm=bn,ln", "optimizer.lr=tag(log,interval(0.01,1))", "model.strides=[1,2,2,2]"]
    )
    assert space == {
        "norm": CategoricalDistribution(["bn", "ln"]),
        "optimizer.lr": FloatDistribution(0.01, 1.0, log=True),
    }
    assert fixed == ["data=digits", "model.strides=[1,2,2,2]"]
    with pytest.raises(ConfigError, match="^optimizer.lr: the first number must be below the last"):
        split(["optimizer.lr=interval(2,1)"])
    assert search_space("", space, fixed) == space
    assert list(search_space("schedule", {"norm": space["norm"]}, fixed)) == [
        "scheduler",
        "optimizer.lr",
        "norm",
    ]
    with pytest.raises(ConfigError, match="^search with norm=lnn: norm=lnn does not exist."):
        search_space("", split(["norm=bn,lnn"])[0], fixed)


def test_values_are_typed_with_four_digits() -> None:
    params = {"optimizer": "sgd", "optimizer.lr": 0.0123456, "b": 2.34567e-05, "trainer.max_epochs": 12345}
    typed = ["optimizer=sgd", "optimizer.lr=0.01235", "b=2.346e-05", "trainer.max_epochs=12345"]
    assert overrides(params) == typed


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            {"low": 1, "high": 2, "log": True},
            "k must be choice(…), interval(…), tag(log, interval(…)) or range",
        ),
        ({"choices": ["a", "b"]}, "as Hydra writes them: got {'choices': ['a', 'b']}."),
        (0.1, "k must be choice(…)"),
        ("sgd", "k must be choice(…)"),
        ("[1, 2]", "k must be choice(…)"),
        ("choice(1", "k must be choice(…)"),
        ("choice()", "k must be choice(…)"),
        ("glob(*)", "k must be choice(…)"),
        ("interval(a, b)", "k must be choice(…)"),
        ("interval(2, 1)", "k: the first number must be below the last: got 2 and 1."),
        ("interval(0, nan)", "k: the first number must be below the last: got 0 and nan."),
        ("range(3, 3)", "k: the first number must be below the last"),
        ("range(1, inf)", "k: "),
        ("range(1, 3, 0)", "k: the step must be above 0: got 0."),
        ("tag(log, interval(0, 1))", "k: "),
        ("tag(log, range(1, 9, 2))", "k: tag(log, …) goes with interval(…), or a range without a step."),
    ],
)
def test_entries_that_mean_nothing(entry: object, words: str) -> None:
    with pytest.raises(ConfigError, match=r"^k[^\n]*$") as caught:
        parse({"k": entry})
    assert words in str(caught.value)


@pytest.mark.parametrize("name", [path.stem for path in searches()])
def test_every_search_composes(name: str) -> None:
    assert search_space(name, {}, ["data=digits"]), "every corner has been composed and checked"


def test_the_searches_are_found() -> None:
    assert {path.stem for path in searches()} >= {"default", "sgd", "schedule"}


def test_what_is_set_is_not_searched() -> None:
    given = ["optimizer=sgd", "optimizer.lr=0.1"]
    assert list(search_space("default", {}, given)) == ["optimizer.weight_decay", "loss.label_smoothing"]
    with pytest.raises(ConfigError, match="search=schedule: the overrides set all of its keys: nothing is"):
        search_space("schedule", {}, ["scheduler=cosine", "optimizer.lr=0.1"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimizer.lrr: interval(0.1, 1)", "optimizer.lrr does not exist. Did you mean optimizer.lr?"),
        # AdamW has no momentum
        (
            "optimizer: choice(sgd, adamw)\noptimizer.momentum: interval(0.5, 0.9)",
            " with optimizer=adamw: optimizer.momentum does not exist.",
        ),
        ("optimizer: choice(sgd, adamx)", "optimizer=adamx does not exist. Did you mean optimizer=adam"),
        (
            "optimizer.momentum: interval(0.5, 1.5)",
            "optimizer.momentum must be at least 0 and less than 1",
        ),
        ("trainer.max_epochs: interval(1, 2.5)", "trainer.max_epochs must be a whole number: got 2.5."),
        ("data.batch_size: choice(64, many)", "data.batch_size must be a whole number: got 'many'."),
        ("", "there is nothing to search"),
        ("- 1", "there is nothing to search"),
        ("optimizer.lr: {low: 0.1,", "mine.yaml: "),
        ("optimizer.lr: 0.1", "optimizer.lr must be choice(…), interval(…)"),
    ],
)
def test_files_that_cannot_work(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"^search=[^\n]*$") as caught:
        search_space(str(tmp_path / "mine.yaml"), {}, ["data=digits"])
    assert words in str(caught.value)
