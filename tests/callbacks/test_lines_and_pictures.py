import io
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from src.callbacks.confusion import accuracy_by_class
from src.callbacks.epoch_line import EpochLine, epoch_line
from src.callbacks.model_table import layer_table, model_table
from src.callbacks.samples import sample_grid
from src.config.console import TqdmHandler
from src.data.resolution import Resolution
from src.metrics.errors import per_class
from src.metrics.predictions import Predictions
from src.metrics.throughput import Stopwatch
from src.models.cost import LayerCost, count_macs, layer_costs
from src.models.resnet import ResNet


def test_epoch_line_as_documented() -> None:
    metrics = {"train/loss": 0.81, "train/acc": 0.712, "val/loss": 0.53, "val/acc": 0.829}
    line = epoch_line(
        metrics | {"train/images_per_second": 393.2}, epoch=12, max_epochs=40, num_val=5000, lr=0.0061
    )
    assert line == "epoch 12/40  train 0.810 71.2%  val 0.530 82.9% (4145/5000)  lr 0.0061  393 img/s"
    assert epoch_line({"train/loss": 1, "train/acc": 0.5}, epoch=1, max_epochs=2, num_val=0, lr=1.0) == (
        "epoch 1/2  train 1.000 50.0%  lr 1"
    )
    assert epoch_line({}, epoch=1, max_epochs=2, num_val=0, lr=1.0, seconds_left=750.0) == (
        "epoch 1/2  lr 1  12.5 min left"
    )


def test_the_time_left_follows_from_the_steps_that_were_timed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trainer: Any = SimpleNamespace(
        datamodule=SimpleNamespace(image_size=32), max_epochs=4, current_epoch=0, global_step=0
    )
    monkeypatch.setattr("src.callbacks.epoch_line.time.monotonic", lambda: 10.0 * trainer.global_step)
    module = SimpleNamespace(total_steps=100, resize=Resolution([(16, 0.5)]))
    line: Any = EpochLine()
    with caplog.at_level(logging.INFO):
        for trainer.global_step in range(1, 9):
            line.on_train_batch_end(trainer, module)
    # after step 5: 45 steps of 10 s at 16 pixels are left, and 50 of four times the work, 2,450 s
    assert [record.message for record in caplog.records] == ["about 40.8 min for 4 epochs"]
    trainer.global_step = 100
    assert line.seconds_left(trainer, module) == 0.0


def test_the_epoch_line_counts_the_images_that_were_validated(run_tiny: Callable[..., Path]) -> None:
    run = run_tiny(
        *("data=digits", "model.width=8", "callbacks=training", "scheduler=onecycle", "optimizer.lr=0.1"),
        *("trainer.max_epochs=1", "trainer.limit_train_batches=20", "trainer.limit_val_batches=2"),
    )
    (line,) = [line for line in (run / "train.log").read_text().splitlines() if "epoch 1/1" in line]
    assert "/16)" in line  # two batches of eight, not all 180
    # the rate of the twentieth step, an end of the cosine that falls to lr / 25 / 10,000: not that of a 21st
    assert "lr 4e-07" in line


def test_an_epoch_without_validation_repeats_no_earlier_one(run_tiny: Callable[..., Path]) -> None:
    run = run_tiny(
        *("data=digits", "model.width=8", "callbacks=training", "logger=none", "scheduler=constant"),
        *("trainer.max_epochs=3", "trainer.limit_train_batches=1", "trainer.check_val_every_n_epoch=2"),
    )
    lines = [
        line for line in (run / "train.log").read_text().splitlines() if "epoch " in line and " lr " in line
    ]
    assert ["val" in line for line in lines] == [False, True, False]


def test_no_callbacks_keep_nothing_but_the_numbers(run_tiny: Callable[..., Path]) -> None:
    run = run_tiny(
        *("data=digits", "model.width=8", "callbacks=none", "trainer.max_epochs=1"),
        "trainer.limit_train_batches=1",
    )
    assert not list(run.rglob("*.ckpt"))


def test_model_table_adds_up() -> None:
    table = model_table([LayerCost("stem", (4, 8, 8), 100, 2000), LayerCost("head", (10,), 11, 40)])
    assert table.splitlines()[1].split() == ["stem", "4", "x", "8", "x", "8", "100", "2,000"]
    assert table.splitlines()[-1].split() == ["total", "111", "2,040"]


def test_layer_table_has_every_layer_and_its_megabytes() -> None:
    net = ResNet(10, width=8, strides=[1, 2], num_blocks=[1, 1])
    table = layer_table(layer_costs(net, 32, leaves=True)).splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in table}
    # 8 x 32 x 32 values of 4 bytes; 3 x 8 x 9 weights of 4 bytes, each used at 1,024 places
    assert rows["stem.conv"] == ["8", "x", "32", "x", "32", "0.033", "216", "0.001", "221,184"]
    assert rows["stage2.block1.shortcut.conv"] == [
        *("16", "x", "16", "x", "16", "0.016", "128", "0.001", "32,768")
    ]
    assert rows["total"][1] == f"{sum(p.numel() for p in net.parameters()):,}"
    assert rows["total"][3] == f"{count_macs(net, 32):,}"
    assert [line.split()[0] for line in table].count("stage1.block1.relu") == 2  # used twice


def test_accuracy_by_class_is_the_share_of_its_images_that_is_right() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    logits = np.eye(4)[[0, 0, 0, 1, 1, 0, 0, 2]]
    scores = per_class(Predictions(np.arange(8), labels, logits))
    assert accuracy_by_class(scores, ["cat", "dog", "frog", "none"]).splitlines() == [
        "accuracy by class (8 images)",
        f"  {'dog':<24}  33.3%",
        f"  {'cat':<24}  75.0%",
        f"  {'frog':<24} 100.0%",
        f"  {'none':<24}      -",
    ]


def test_sample_grid_shows_the_original_pixels() -> None:
    # two 32x32 images, enlarged three times, four pixels of white around each
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    normalized = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    grid = sample_grid(normalized, mean, std)
    assert grid.shape == (3, 96 + 8, 2 * 96 + 12)
    first = grid[:, 4:100, 4:100]
    torch.testing.assert_close(
        first[:, 1::3, 1::3], (pixels[0] * 255).round().to(torch.uint8), atol=1, rtol=0
    )
    assert (grid[:, :4] == 255).all()


def test_console_lines_are_bare(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    TqdmHandler().handle(logging.LogRecord("x", logging.INFO, "f", 1, "hello %s", ("you",), None))
    assert stream.getvalue() == "hello you\n"
    flushed = []
    monkeypatch.setattr(stream, "flush", lambda: flushed.append(stream.getvalue()))
    TqdmHandler().handle(logging.LogRecord("x", logging.INFO, "f", 1, "next", (), None))
    assert flushed[-1].endswith("next\n"), "a pipe must see each line at once"


def test_stopwatch_counts_only_while_running(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 12.5, 100.0, 101.5])
    monkeypatch.setattr("src.metrics.throughput.time.perf_counter", lambda: next(times))
    watch = Stopwatch()
    assert watch.images_per_second == 0
    for _ in range(2):
        watch.start()
        watch.stop()
    watch.images = 40
    assert watch.seconds == 4.0
    assert watch.images_per_second == 10.0
