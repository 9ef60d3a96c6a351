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
from src.notebook import load_run


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
