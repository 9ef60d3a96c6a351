"""`latest` is the newest run by its start, and only one of the right kind."""

import os
from pathlib import Path

import pytest

from src.config.errors import ConfigError
from src.config.finished import own_arguments
from src.config.help import look_at
from src.config.latest import latest_run
from src.config.resume import given, with_run_overrides
from src.runs.summary import Summary


def made(folder: Path, status: str, started: str | None) -> Path:
    """A run's folder as far as `latest` looks into it."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text("seed: 0\n")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").touch()
    (folder / ".hydra" / "overrides.yaml").write_text("[norm=ln]\n")
    (folder / "config.json").write_text("{}")
    Summary(folder, status=status, **({"started": started} if started else {}))
    return folder


def test_the_newest_by_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = tmp_path / "results"
    monkeypatch.setenv("OUTPUT_DIR", str(outputs))
    for words in ("completed", "unfinished"):
        with pytest.raises(ConfigError, match=f"there is no {words} run with a checkpoint in {outputs}"):
            latest_run([], completed=words == "completed")
    old = made(outputs / "train" / "runs" / "z", "completed", "2026-11-01T10:00:00.000+00:00")
    job = made(
        outputs / "a" / "b" / "multiruns" / "t" / "3_x=1,y", "completed", "2026-11-02T10:00:00.000+00:00"
    )
    cut = made(outputs / "train" / "runs" / "a", "running", "2026-11-03T10:00:00.000+00:00")
    made(outputs / "train" / "runs" / "b", "pruned: fell behind", "2026-11-05T10:00:00.000+00:00")
    (job / "evaluate" / "best").mkdir(parents=True)
    Summary(job / "evaluate" / "best", status="completed", started="2026-11-06T10:00:00.000+00:00")  # no run
    assert latest_run([], completed=True) == job
    assert latest_run([], completed=False) == cut
    bare = made(outputs / "train" / "runs" / "bare", "completed", "2026-11-06T10:00:00.000+00:00")
    (bare / "checkpoints" / "last.ckpt").rename(bare / "checkpoints" / "epoch=1-step=2.ckpt")
    assert latest_run([], completed=True) == job, "a run without a checkpoint has nothing to explain"
    failed = made(outputs / "train" / "runs" / "c", "failed: x", "2026-11-04T10:00:00.000+00:00")
    assert latest_run([], completed=False) == failed

    assert own_arguments(["run=latest"], {"run": "???"})[0]["run"] == str(job)
    assert given(with_run_overrides(["resume=latest"]), "resume") == str(failed)
    assert "norm=ln" in with_run_overrides(["resume=latest"])

    other = made(tmp_path / "other" / "r", "completed", None)  # older runs do not say when they started
    os.utime(other / ".hydra" / "config.yaml", (1_900_000_000, 1_900_000_000))
    assert latest_run([f"paths.output_dir={tmp_path}"], completed=True) == other
    assert latest_run([f"paths.output_dir={old.parent}"], completed=True) == old


def test_what_to_look_at_stands_in_an_experiments_head() -> None:
    assert look_at("norms").startswith("the table's intervals, whether `none` trains at all, train/loss of")
    assert look_at("norms").endswith("where a norm makes the weights' length free.")
    assert look_at("cpu") == look_at("nothing") == ""
