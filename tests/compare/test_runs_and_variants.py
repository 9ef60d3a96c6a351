import json
import logging
import os
from pathlib import Path

import pytest

from src.compare.runs import find_runs
from src.compare.variants import group
from src.config.identity import plain, what_matters
from src.notebook import compose
from tests.made_runs import made_run


def names(runs: list) -> list[str]:
    return [run.folder.name for run in runs]


def test_runs_are_found_once_in_the_order_of_their_numbers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sweep = tmp_path / "multiruns" / "s"
    for number in (10, 2, 1):
        made_run(sweep / f"{number}_lr=0.1,norm=bn", seed=number)
    made_run(tmp_path / ".cache" / "hidden")
    results = sweep / "2_lr=0.1,norm=bn" / "evaluate" / "best"
    results.mkdir(parents=True)
    (results / "summary.json").write_text('{"status": "completed", "run": "x"}')
    made_run(sweep / "2_lr=0.1,norm=bn" / "copy")
    want = ["1_lr=0.1,norm=bn", "2_lr=0.1,norm=bn", "10_lr=0.1,norm=bn"]
    assert names(find_runs([tmp_path])) == want
    assert names(find_runs([f"{tmp_path}/multiruns/*/*", sweep / want[0], sweep])) == want
    assert names(find_runs([sweep / "10_lr=0.1,norm=bn"])) == want[2:]
    assert find_runs([results, tmp_path / "nothing", f"{tmp_path}/*/none*"]) == []
    assert caplog.text == ""


def test_broken_folders_are_told_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made_run(tmp_path / "good")
    for name, text in {
        "half": '{"status": "comp',
        "list": "[1]",
        "binary": "\udcff",
        "strange": '{"accuracy": 1}',
        "options": '{"status": "completed", "options": 3}',
        "unheard": '{"status": "lost"}',
        "seed": '{"status": "completed", "seed": "x"}',
        "bare": '{"status": "completed"}',
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    config = made_run(tmp_path / "config") / "config.json"
    config.write_text(config.read_text()[:40])
    with caplog.at_level(logging.WARNING):
        assert names(find_runs([tmp_path])) == ["good"]
    told = [record.message for record in caplog.records]
    assert len(told) == 9
    assert all("left out" in line and "\n" not in line for line in told)
    assert "it has no config.json" in told[0]


def test_states(tmp_path: Path) -> None:
    made_run(tmp_path / "a", status="failed: no memory", seed=3)
    made_run(tmp_path / "b", status="running")
    made_run(tmp_path / "d", status="pruned: after epoch 1")
    made_run(tmp_path / "c")
    failed, running, completed, pruned = (run.summary for run in find_runs([tmp_path]))
    assert (failed.failure, failed.completed, failed.seed) == ("no memory", False, 3)
    assert (running.failure, running.completed) == (None, False)
    assert (pruned.failure, pruned.completed) == ("pruned: after epoch 1", False)
    assert (completed.failure, completed.completed) == (None, True)
    assert completed.numbers["val/acc"] == 0.5
    assert "status" not in completed.numbers


def test_a_run_of_a_version_without_config_json_is_refused_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_dir = made_run(tmp_path / "run")
    (run_dir / "config.json").rename(run_dir / "config.yaml")
    assert find_runs([tmp_path]) == []
    (line,) = [record.message for record in caplog.records]
    assert line.startswith(f"left out {run_dir}: it has no config.json: ")


def test_variants_differ_in_anything_but_the_seed(tmp_path: Path) -> None:
    """Real configurations: the seed, paths and workers make no variant, everything else does."""
    changes = {
        "same": ["seed=1", "data.num_workers=3", "data.root=/b", "task_name=t", "logger=csv"],
        "lr": ["optimizer.lr=0.3"],
        "norm": ["norm=ln"],
        "epochs": ["trainer.max_epochs=2"],
        "callbacks": ["callbacks=early_stopping"],
        "smoothing": ["loss.label_smoothing=0.1"],
    }
    for name, overrides in {"0": [], **changes}.items():
        composed = compose("paths.run_dir=/a", *overrides)
        matters = what_matters(plain(composed.cfg))
        folder = made_run(tmp_path / name, options=composed.options, overrides=overrides)
        (folder / "config.json").write_text(json.dumps(matters))
        facts = json.loads((folder / "summary.json").read_text()) | {"seed": matters["seed"]}
        (folder / "summary.json").write_text(json.dumps(facts))
    columns, variants = group(find_runs([tmp_path]))
    together = [{run.folder.name for run in variant.runs} for variant in variants]
    assert sorted(map(sorted, together)) == [
        ["0", "same"],
        ["callbacks"],
        ["epochs"],
        ["lr"],
        ["norm"],
        ["smoothing"],
    ]
    assert columns == ["norm", "callbacks", "lr", "label_smoothing", "max_epochs"]
    values = {variant.runs[0].folder.name: variant.values for variant in variants}
    assert values["lr"] == values["0"] | {"lr": 0.3}
    assert [run.summary.seed for run in variants[0].runs] == [0, 1]


def columns_of(tmp_path: Path) -> tuple[list[str], list[str]]:
    columns, variants = group(find_runs([tmp_path]))
    return columns, [variant.name for variant in variants]


def test_what_follows_from_an_option_is_no_column(tmp_path: Path) -> None:
    for k, (optimizer, lr) in enumerate([("sgd", 0.1), ("adam", 0.001)]):
        config = {"optimizer.lr": lr, "scheduler.max_lr": lr, "module.optimizer.lr": lr}
        made_run(tmp_path / str(k), options={"optimizer": optimizer}, config=config)
    assert columns_of(tmp_path) == (["optimizer"], ["optimizer=sgd", "optimizer=adam"])


def test_what_was_typed_comes_before_what_follows_from_it(tmp_path: Path) -> None:
    for epochs in (10, 20):
        config = {"scheduler.step_size": epochs // 2, "trainer.max_epochs": epochs}
        made_run(tmp_path / str(epochs), config=config, overrides=[f"trainer.max_epochs={epochs}"])
    assert columns_of(tmp_path) == (["max_epochs"], ["max_epochs=10", "max_epochs=20"])


def test_lists_are_whole_names_are_short_and_clear(tmp_path: Path) -> None:
    made_run(tmp_path / "0", config={"model.strides.0": 1, "model.strides.1": 2, "optimizer.lr": 1e-5})
    made_run(tmp_path / "1", config={"model.strides.0": 2, "model.strides.1": 2, "optimizer.lr": 1e-5})
    made_run(tmp_path / "2", config={"model.lr": 1 / 3, "optimizer.lr": 0.1})
    made_run(tmp_path / "3", config={"model.lr": 1 / 3, "optimizer.lr": 1e-5})
    assert columns_of(tmp_path) == (
        ["strides", "lr"],
        [
            "strides=[1,2] lr=1e-05",
            "strides=[2,2] lr=1e-05",
            "strides=absent lr=0.1",
            "strides=absent lr=1e-05",
        ],
    )


def test_endings_that_two_columns_share_are_longer(tmp_path: Path) -> None:
    for k, (a, b) in enumerate([(1, 1), (1, 2), (2, 1)]):
        made_run(tmp_path / str(k), config={"optimizer.lr": a, "callbacks.tuner.lr": b, "norm._target_": "x"})
    assert columns_of(tmp_path)[0] == ["optimizer.lr", "tuner.lr"]


def test_an_option_that_two_ways_lead_to_is_no_column(tmp_path: Path) -> None:
    made_run(tmp_path / "0", options={"experiment": "cpu"}, config={"optimizer.lr": 0.1})
    made_run(tmp_path / "1", options={"experiment": None}, config={"optimizer.lr": 0.1}, seed=1)
    made_run(tmp_path / "2", options={"experiment": None}, config={"optimizer.lr": 0.2})
    assert columns_of(tmp_path) == (["lr"], ["lr=0.1", "lr=0.2"])


def test_nothing_varies(tmp_path: Path) -> None:
    made_run(tmp_path / "0")
    assert columns_of(tmp_path) == ([], ["all"])
    assert group([]) == ([], [])


def test_of_a_repeated_seed_the_newest_completed_run_counts(tmp_path: Path) -> None:
    made_run(tmp_path / "a", seed=1, val=0.1)
    made_run(tmp_path / "b", seed=1, val=0.2)
    made_run(tmp_path / "c", seed=1, status="failed: x")
    made_run(tmp_path / "d", seed=0)
    for age, name in enumerate("cba"):  # a is the newest
        os.utime(tmp_path / name / "summary.json", (1000 + age, 1000 + age))
    (variant,) = group(find_runs([tmp_path]))[1]
    assert names(variant.runs) == ["d", "c", "b", "a"]
    assert names(variant.counted) == ["d", "a"]
    assert variant.repeats == 1
