"""Lightning's private parts are as `src/lightning_private.py` says: a failure here is a change in Lightning.

The first thing to read then is that file's head; what a test shows without our function is why it exists.
"""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.loggers.logger import DummyLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor, nn

from src.engine.quiet import quiet
from src.lightning_private import (
    batches_done,
    begin_next_epoch,
    complete_epoch,
    event_file,
    in_epoch,
    resumes_in_epoch,
    step_plateau_schedules,
    take_back_batch,
)

NUM_BATCHES = 3  # an epoch; there are two epochs


class Weight(L.LightningModule):
    """One weight, trained on the numbers 0, 1, 2, one a batch, with a schedule that reads a metric."""

    def __init__(self, *, steps_plateau: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.steps_plateau, self.num_schedule_steps = steps_plateau, 0
        self.seen: list[tuple[int, float]] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.seen.append((batch_idx, batch.item()))
        self.log("number", batch.item(), on_step=True, on_epoch=False)
        return (self.weight - batch).square().mean()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("score", 1.0, batch_size=1)

    def on_train_epoch_end(self) -> None:
        if self.steps_plateau:
            step_plateau_schedules(self.trainer)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        self.num_schedule_steps += 1
        super().lr_scheduler_step(scheduler, metric)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "score"}}


class Notes(L.Callback):
    """What the counters say in each hook: (hook, batches done, in an epoch)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int, bool]] = []
        self.resumed = False

    def note(self, trainer: L.Trainer, hook: str) -> None:
        self.lines.append((hook, batches_done(trainer), in_epoch(trainer)))

    def on_train_start(self, trainer: L.Trainer, *_: Any) -> None:
        self.resumed = resumes_in_epoch(trainer)

    def on_train_epoch_start(self, trainer: L.Trainer, *_: Any) -> None:
        self.note(trainer, f"epoch {trainer.current_epoch}")

    def on_train_batch_start(self, trainer: L.Trainer, _: Any, batch: Any, batch_idx: int) -> None:
        self.note(trainer, f"batch {batch_idx}")

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.note(trainer, "batch ends")

    def on_validation_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.note(trainer, "validated")

    def on_train_epoch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.note(trainer, "epoch ends")


class Save(L.Callback):
    """Save once: before this batch (from 0, over all epochs), or at the end of the first epoch."""

    def __init__(self, path: Path, *, batch: int | None = None, take_back: bool = True) -> None:
        self.path, self.batch, self.take_back = path, batch, take_back

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == self.batch:
            trainer.save_checkpoint(self.path)

    def on_train_epoch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if self.batch is None and trainer.current_epoch == 0:
            trainer.save_checkpoint(self.path)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        if self.batch is not None and self.take_back:
            take_back_batch(checkpoint)


class BeginNextEpoch(L.Callback):
    def on_train_start(self, trainer: L.Trainer, *_: Any) -> None:
        begin_next_epoch(trainer)


class StopAtOnce(L.Callback):
    """A run that had stopped early, and is resumed."""

    epochs: tuple[int, int] = (-1, -1)

    def on_load_checkpoint(self, trainer: L.Trainer, *_: Any) -> None:
        trainer.should_stop = True

    def on_fit_end(self, trainer: L.Trainer, *_: Any) -> None:
        before = trainer.current_epoch
        complete_epoch(trainer)
        self.epochs = before, trainer.current_epoch


class Steps(DummyLogger):
    """The steps at which Lightning logs the numbers of batches."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int | None] = []

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        if "number" in metrics:
            self.steps.append(step)


def fit(
    *callbacks: L.Callback, module: Weight | None = None, path: Path | None = None, **options: Any
) -> tuple[Weight, Notes, Steps]:
    """Train two epochs, or what is left of them after a checkpoint."""
    quiet()
    module, notes, logger = module or Weight(), Notes(), Steps()
    trainer = L.Trainer(
        **{"max_epochs": 2, "accelerator": "cpu", "logger": logger, "log_every_n_steps": 1} | options,
        callbacks=[*callbacks, notes],
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    train = torch.utils.data.DataLoader(torch.arange(float(NUM_BATCHES)))
    val = torch.utils.data.DataLoader(torch.zeros(1))
    trainer.fit(module, train, val, ckpt_path=path, weights_only=True)
    return module, notes, logger


def loops(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(path, weights_only=True)["loops"]["fit_loop"]
    return found


def counts(ready: int, started: int, processed: int, completed: int) -> dict[str, int]:
    return {"ready": ready, "started": started, "processed": processed, "completed": completed}


def test_counters_in_each_hook() -> None:
    _, notes, logger = fit()
    assert not notes.resumed
    epoch = [
        *(("batch 0", 0, True), ("batch ends", 0, True)),
        *(("batch 1", 1, True), ("batch ends", 1, True)),
        *(("batch 2", 2, True), ("batch ends", 2, True)),
        *(("validated", 3, True), ("epoch ends", 3, False)),
    ]
    assert notes.lines == [("epoch 0", 0, True), *epoch, ("epoch 1", 3, True), *epoch]
    assert logger.steps == [0, 1, 2, 3, 4, 5]


def test_a_checkpoint_of_an_epochs_middle_is_taken_back_by_one_batch(tmp_path: Path) -> None:
    fit(Save(tmp_path / "raw.ckpt", batch=5, take_back=False), Save(tmp_path / "unused.ckpt"))
    saved = loops(tmp_path / "raw.ckpt")
    epochs = counts(ready=2, started=2, processed=1, completed=1)
    assert saved["epoch_progress"] == {"total": epochs, "current": epochs}
    assert saved["epoch_loop.batch_progress"] == {
        "total": counts(ready=6, started=5, processed=5, completed=5),
        "current": counts(ready=3, started=2, processed=2, completed=2),
        "is_last_batch": True,
    }
    fit(Save(tmp_path / "taken_back.ckpt", batch=5))
    batches = loops(tmp_path / "taken_back.ckpt")["epoch_loop.batch_progress"]
    assert batches == {"total": counts(5, 5, 5, 5), "current": counts(2, 2, 2, 2), "is_last_batch": False}


def test_a_resumed_epoch_continues_with_the_next_batch(tmp_path: Path) -> None:
    path = tmp_path / "middle.ckpt"
    fit(Save(path, batch=4))
    module, notes, logger = fit(path=path)
    assert notes.resumed
    assert notes.lines == [  # no epoch starts
        *(("batch 1", 1, True), ("batch ends", 1, True)),
        *(("batch 2", 2, True), ("batch ends", 2, True)),
        *(("validated", 3, True), ("epoch ends", 3, False)),
    ]
    assert module.seen == [(1, 0.0), (2, 1.0)]  # nothing is skipped: the loader begins with its first batch
    assert logger.steps == [4, 5]


def test_without_taking_back_one_step_too_many_is_counted(tmp_path: Path) -> None:
    fit(Save(tmp_path / "middle.ckpt", batch=4, take_back=False))
    assert fit(path=tmp_path / "middle.ckpt")[2].steps == [5, 6]


def test_with_max_steps_an_ended_epoch_would_end_again(tmp_path: Path) -> None:
    path = tmp_path / "end.ckpt"
    fit(Save(path), max_steps=6)
    epochs = counts(ready=1, started=1, processed=1, completed=0)
    assert loops(path)["epoch_progress"] == {"total": epochs, "current": epochs}
    assert fit(path=path, max_steps=6)[1].lines[0] == ("epoch ends", 3, False)
    _, notes, logger = fit(BeginNextEpoch(), path=path, max_steps=6)
    assert notes.lines[:2] == [("epoch 1", 3, True), ("batch 0", 0, True)]
    assert [line[0] for line in notes.lines].count("epoch ends") == 1
    assert logger.steps == [3, 4, 5]


def test_without_max_steps_the_next_epoch_begins_anyway(tmp_path: Path) -> None:
    fit(Save(tmp_path / "end.ckpt"))
    for callbacks in ([], [BeginNextEpoch()]):
        _, notes, _ = fit(*callbacks, path=tmp_path / "end.ckpt")
        assert not notes.resumed
        assert notes.lines[:2] == [("epoch 1", 3, True), ("batch 0", 0, True)]


@pytest.mark.parametrize("ours", [True, False])
def test_plateau_schedules_step_before_the_checkpoint(ours: bool, tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, "end", save_on_train_epoch_end=True)
    module, _, _ = fit(keep, module=Weight(steps_plateau=ours), max_epochs=1)
    (schedule,) = torch.load(tmp_path / "end.ckpt", weights_only=True)["lr_schedulers"]
    assert schedule["last_epoch"] == int(ours)
    assert module.num_schedule_steps == 1 + ours  # Lightning's own comes after


def test_a_fit_that_stops_at_once_leaves_the_last_epoch_uncounted(tmp_path: Path) -> None:
    fit(Save(tmp_path / "end.ckpt"))
    stop = StopAtOnce()
    module, notes, _ = fit(stop, path=tmp_path / "end.ckpt")
    assert module.seen == []
    assert notes.lines == []
    assert stop.epochs == (0, 1)


def test_the_event_file_opens_again_after_a_fit(tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path, name="", version="")
    logger.experiment.add_scalar("a", 1.0, 0)
    logger.experiment.close()
    event_file(logger).add_summary(Summary(value=[Summary.Value(tag="b", simple_value=2.0)]), 1)
    logger.experiment.close()
    read = [EventAccumulator(str(path)) for path in sorted(tmp_path.glob("events*"))]
    found = [(tag, one.Scalars(tag)[0].value) for one in read for tag in one.Reload().Tags()["scalars"]]
    assert found == [("a", 1.0), ("b", 2.0)]
