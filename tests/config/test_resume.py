from pathlib import Path

import pytest

from src.config.check import ConfigError
from src.config.resume import checkpoint_file, with_run_overrides


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text(
        "- norm=ln\n- optimizer.lr=0.1\n- +trainer.min_epochs=1\n"
    )
    return tmp_path


def test_a_run_folder_brings_its_overrides_and_typed_ones_win(run_dir: Path) -> None:
    got = with_run_overrides([f"ckpt_path={run_dir}", "optimizer.lr=0.2"])
    assert got == ["norm=ln", "+trainer.min_epochs=1", "optimizer.lr=0.2", f"ckpt_path='{run_dir}'"]
    file = run_dir / "checkpoints" / "last.ckpt"
    assert with_run_overrides([f"ckpt_path='{file}'"])[:2] == ["norm=ln", "optimizer.lr=0.1"]


def test_without_checkpoint_nothing_changes() -> None:
    assert with_run_overrides(["norm=gn", "ckpt_path=null"]) == ["norm=gn", "ckpt_path=null"]


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no checkpoint .*nope: give a \.ckpt file"):
        checkpoint_file(str(tmp_path / "nope"))
    with pytest.raises(ConfigError, match="checkpoints/last.ckpt"):
        checkpoint_file(str(tmp_path))
