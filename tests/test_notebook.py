"""What a notebook gets from a run."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from src.config.errors import ConfigError
from src.data.cifar import cifar
from src.engine.classifier import Classifier
from src.notebook import compose, compose_all, load_run


@pytest.mark.slow
def test_a_loaded_run_says_what_the_run_said(
    fake_cifar: Path, run_tiny: Callable[..., Path], tmp_path: Path
) -> None:
    run = run_tiny(
        *(f"data.root='{fake_cifar}'", "data.num_train=400", "data.num_val=40", "model.width=8"),
        *("trainer.max_epochs=1", "trainer.limit_train_batches=4", "logger=none"),
    )
    net, class_names, mean, std = load_run(run)
    assert class_names == [f"class{k}" for k in range(10)]
    images = cifar("cifar10", root=str(fake_cifar), download=False).test.images
    pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        confidence, prediction = F.softmax(net((pixels - mean) / std), dim=1).max(dim=1)
    with (run / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert prediction.tolist() == [int(row["prediction"]) for row in rows]
    assert confidence.tolist() == pytest.approx([float(row["confidence"]) for row in rows], abs=1e-4)
    with pytest.raises(ConfigError, match=r"no best.ckpt or last.ckpt in"):
        load_run(tmp_path)


def test_lightnings_own_way_to_load_a_checkpoint(run_tiny: Callable[..., Path], tmp_path: Path) -> None:
    run = run_tiny(
        *("data=digits", "norm=ln", "model.width=8", "optimizer=adam", "callbacks=training", "logger=none"),
        *("trainer.max_epochs=1", "trainer.limit_train_batches=2", "loss.label_smoothing=0.1"),
    )
    module = Classifier.load_from_checkpoint(run / "checkpoints" / "last.ckpt")
    images = torch.rand(5, 3, 32, 32)
    assert not module.training
    torch.testing.assert_close(module(images), load_run(run, ckpt="last").net(images))
    assert module.loss.label_smoothing == 0.1
    assert isinstance(module.make_optimizer(), torch.optim.Adam)
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    content["hyper_parameters"]["module"]["net"] = {"_target_": "os.getcwd"}
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(ConfigError, match="would call os.getcwd"):
        Classifier.load_from_checkpoint(tmp_path / "other.ckpt")


@pytest.mark.slow
def test_a_sweep_composes_to_all_of_its_jobs() -> None:
    with pytest.raises(ConfigError, match=r"experiment=norms is a sweep of 15 runs: compose_all"):
        compose("experiment=norms")
    found = compose_all("experiment=norms")
    assert {(one.options["norm"], one.cfg.seed) for one in found} == {
        (norm, seed) for norm in ("bn", "ln", "gn", "in", "none") for seed in (0, 1, 2)
    }
    pair = compose_all("data=digits", "optimizer=sgd,adam")
    assert [one.options["optimizer"] for one in pair] == ["sgd", "adam"]
    assert pair[1].overrides == ["data=digits", "optimizer=adam"]
    assert pair[1].cfg == compose("data=digits", "optimizer=adam").cfg
