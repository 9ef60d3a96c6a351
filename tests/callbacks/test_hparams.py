"""The row of the hparams page."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from src.callbacks.hparams import hparams_row
from src.runs.summary import read_summary


def test_what_a_configuration_lacks_is_left_out() -> None:
    config = {"optimizer": {"lr": 0.1}, "data": {}, "model": {"width": 8}, "trainer": {}, "seed": 0}
    row = hparams_row(config, {"options": {"norm": "ln"}, "num_params": 5})
    assert row == {"1 norm": "ln", "4 lr": 0.1, "5 seed": 0, "width": 8, "num_params": 5}


def test_a_run_has_its_row_of_choices_and_results(run_tiny: Callable[..., Path]) -> None:
    run_dir = run_tiny(
        *("data=digits", "model.width=8", "trainer.max_epochs=1", "trainer.limit_train_batches=2"),
        *("norm=gn", "optimizer=adamw", "seed=3", "callbacks=training"),
    )
    found = EventAccumulator(str(run_dir))
    found.Reload()
    facts = read_summary(run_dir)
    shown = {tag: found.Scalars(tag)[-1].value for tag in found.Tags()["scalars"] if tag.startswith("best/")}
    assert shown == {
        "best/val_acc": pytest.approx(facts["val/acc"]),
        "best/test_acc": pytest.approx(facts["test/acc"]),
        "best/test_loss": pytest.approx(facts["test/loss"]),
        "best/train_seconds": pytest.approx(facts["train_seconds"]),
    }
    content = found.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    start = HParamsPluginData.FromString(content).session_start_info
    row = {key: value.string_value or value.number_value for key, value in start.hparams.items()}
    assert row == {
        **{"1 norm": "gn", "2 optimizer": "adamw", "3 scheduler": "onecycle", "4 lr": 0.001, "5 seed": 3},
        **{"model": "resnet18", "data": "digits", "augment": "crop_rotate_cutout"},
        **{"weight_decay": 0.05, "width": 8, "batch_size": 8, "epochs": 1, "num_params": facts["num_params"]},
    }
