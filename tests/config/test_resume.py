from pathlib import Path

import pytest
import yaml

from src.config.errors import ConfigError
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


@pytest.mark.parametrize(
    "override",
    [
        "model._target_=os.system",
        "+callbacks.x={_target_: os.system, command: ls}",
        "+callbacks.x={'_target_': \"builtins.exec\"}",
        "loss=${oc.create:'{_target_: os.system}'}",
        "+seeds=${new_folder:/tmp,x}",
        "hydra.searchpath=[file:///tmp/evil]",
        "+norm@evil=x,+callbacks.y._target_=subprocess.run",
    ],
)
def test_a_folder_whose_overrides_call_strangers_is_refused(override: str, run_dir: Path) -> None:
    path = run_dir / ".hydra" / "overrides.yaml"
    path.write_text(yaml.safe_dump(["norm=ln", override]))
    with pytest.raises(ConfigError, match="could run code that is not this checkout's: nothing was run"):
        with_run_overrides([f"ckpt_path={run_dir}"])


def test_what_conf_calls_may_be_chosen_and_what_is_typed_is_meant(run_dir: Path) -> None:
    path = run_dir / ".hydra" / "overrides.yaml"
    path.write_text(yaml.safe_dump(["norm._target_=torch.nn.Identity", "model._target_=my.Net"]))
    got = with_run_overrides([f"ckpt_path={run_dir}", "model._target_=my.Net"])
    assert got[:2] == ["norm._target_=torch.nn.Identity", "model._target_=my.Net"]
