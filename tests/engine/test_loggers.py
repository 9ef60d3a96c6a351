"""Loggers beside TensorBoard: metrics, choices and pictures reach them."""

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger
from PIL import Image

from src.config import conditions
from src.config.errors import ConfigError
from src.config.finished import run_config
from src.drawing.sheet import Png, packed
from src.engine.loggers import log_picture
from src.notebook import compose


def pixels(file: Path | io.BytesIO) -> np.ndarray:
    return np.asarray(Image.open(file).convert("RGB"))


@pytest.mark.slow
def test_pictures_reach_wandb_and_each_run_is_one_of_its_own(
    run_tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    monkeypatch.setenv("WANDB_SILENT", "true")
    recorded: list[dict[str, Any]] = []
    start = wandb.init

    def init(**kwargs: Any) -> Any:
        run = start(**kwargs)
        recorded.append({"run": run, "project": kwargs["project"]})
        return run

    monkeypatch.setattr(wandb, "init", init)
    offline = [
        "data=digits",
        "model.width=8",
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=2",
        "logger=wandb",
        "logger.wandb.offline=true",
    ]
    for seed in (0, 1):
        run_dir = run_tiny(*offline, f"seed={seed}", "callbacks.grad_cam=null", "callbacks.evidence=null")
        (folder,) = (run_dir / "wandb").glob("offline-run-*")
        media = folder / "files" / "media" / "images" / "test"
        for name in ("misclassified", "confusion"):
            (copy,) = media.glob(f"{name}_*.png")
            assert np.array_equal(pixels(copy), pixels(run_dir / f"{name}.png"))
        run = recorded[seed]["run"]
        assert recorded[seed]["project"] == "train"
        assert run.config["seed"] == seed
        assert run.config["optimizer"] == "sgd"
        assert wandb.run is None, "it has ended"
        assert run_config(run_dir, []).norm, "its configuration may be read back"
    assert len({entry["run"].id for entry in recorded}) == 2
    assert (run_dir / "metrics.csv").is_file()


def test_a_picture_reaches_mlflow() -> None:
    picture = packed(Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)))
    calls: list[tuple[Any, ...]] = []
    client = SimpleNamespace(
        log_image=lambda run_id, image, *, key, step: calls.append((run_id, image, key, step))
    )
    logger = SimpleNamespace(experiment=client, run_id="7")
    log_picture.dispatch(MLFlowLogger)(logger, "test/confusion", picture, 12)  # type: ignore[arg-type]
    ((run_id, image, key, step),) = calls
    assert (run_id, key, step) == ("7", "test/confusion", 12)
    assert np.array_equal(np.asarray(image), np.arange(48).reshape(4, 4, 3))


def test_a_logger_without_pictures_gets_none(tmp_path: Path) -> None:
    log_picture(CSVLogger(tmp_path), "test/confusion", Png(b"", 1, 1), 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_package_is_named_before_anything_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=f"logger={name} needs the package {name}.*pip install {name}"):
        compose(f"logger={name}")


def test_mlflow_composes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "find_spec", lambda _: object())
    logger = compose("logger=mlflow", "paths.output_dir=there", "paths.run_dir=there/runs/mine").cfg.logger
    assert list(logger) == ["csv", "mlflow"]
    assert dict(logger.mlflow) == {
        "_target_": "lightning.pytorch.loggers.MLFlowLogger",
        "experiment_name": "train",
        "run_name": "mine",
        "tracking_uri": "sqlite:///there/mlflow.db",
        "artifact_location": "there/mlflow",
    }
