"""All that this program takes from Lightning's private parts; elsewhere it uses the documented interface.

Lightning promises nothing about its loops (`trainer.fit_loop` and all below) or about names with an
underscore, but it has no other way to save in the middle of an epoch and to resume there exactly. The
following was read in Lightning 2.6.6. `tests/test_lightning_private.py` fails if another version does it
differently.

Counters. `fit_loop.epoch_progress` counts epochs, `fit_loop.epoch_loop.batch_progress` counts batches. Both
have `current` (of batches: in this epoch) and `total`. Each of these counts `ready`, `started`, `processed`
and `completed`, in this order:
- A batch is `ready` before the hook `on_train_batch_start` and `completed` after `on_train_batch_end`.
- An epoch is `ready` before `on_train_epoch_start`, `processed` before `on_train_epoch_end` and `completed`
  after it. `trainer.current_epoch` is `completed`.
- The counts of batches return to 0 after `on_train_epoch_start`, before the first batch is asked for.

Checkpoints hold the counters as dictionaries, in `["loops"]["fit_loop"]["epoch_loop.batch_progress"]` and the
like. A fit with `ckpt_path` reads them before `on_train_start`, and sees from them where training was:
- In an epoch, if it is started and not processed. Lightning then calls no `on_train_epoch_start`, and gives
  the loader's first batch the number `completed`. It skips nothing: that is the work of our sampler.
- Between two batches, if all counts of batches are equal. A checkpoint from `on_train_batch_start` has one
  more `ready`, and `is_last_batch` is that batch's. Lightning would count one step too many for the loggers.
  Hence `take_back_batch`.
- At the end of an epoch, if it is processed and not completed. With `max_steps`, Lightning ends this epoch a
  second time, because the setter of `_FitLoop.restarting` keeps it True then. Hence `begin_next_epoch`, which
  calls the setter of `_Loop`.

At the end of an epoch, Lightning calls `on_train_epoch_end`, where checkpoints are saved, and only then steps
the schedules that read a metric. The step would be missing from the checkpoint, and a resumed run would not
make it. Hence `step_plateau_schedules`, to be called by the LightningModule, whose hook comes before that of
the callbacks that save. Lightning's own call of `lr_scheduler_step` follows all the same.

A fit that resumes with `should_stop` set trains nothing and leaves `completed` as it was saved in
`on_train_epoch_end`: one less than `processed`. Hence `complete_epoch`.

TensorBoard's `SummaryWriter` is closed after a fit. Its methods open a new file by `_get_file_writer()`; none
of them takes a picture that is already compressed. Hence `event_file`.
"""

from typing import Any

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.loops.loop import _Loop


def batches_done(trainer: L.Trainer) -> int:
    """Batches of the running epoch that this process has trained on."""
    return int(trainer.fit_loop.epoch_loop.batch_progress.current.completed)


def in_epoch(trainer: L.Trainer) -> bool:
    """Whether an epoch has begun and has batches left."""
    epochs = trainer.fit_loop.epoch_progress.current
    return bool(epochs.ready > epochs.processed)  # type: ignore[attr-defined]


def resumes_in_epoch(trainer: L.Trainer) -> bool:
    """In `on_train_start`: whether training continues in an epoch, which then does not start."""
    return bool(trainer.fit_loop.restarted_mid_epoch)


def begin_next_epoch(trainer: L.Trainer) -> None:
    """In `on_train_start`: after a checkpoint of an epoch's end, begin the next one, with `max_steps` too."""
    loop = trainer.fit_loop
    if loop.restarted_on_epoch_end:
        loop.epoch_progress.increment_completed()
        loop.reset_restart_stage()
        loop.epoch_loop.reset_restart_stage()
        _Loop.restarting.fset(loop, False)  # type: ignore[attr-defined]


def take_back_batch(checkpoint: dict[str, Any]) -> None:
    """Of a checkpoint that is saved in `on_train_batch_start`: the batch has not begun."""
    batches = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    batches["is_last_batch"] = False
    for counted in (batches["total"], batches["current"]):
        counted["ready"] = counted["completed"]


def step_plateau_schedules(trainer: L.Trainer) -> None:
    """Let the schedules that read a metric once an epoch look at it now."""
    trainer.fit_loop.epoch_loop.update_lr_schedulers("epoch", update_plateau_schedulers=True)


def complete_epoch(trainer: L.Trainer) -> None:
    """In `on_fit_end`: have `trainer.current_epoch` count the last epoch, as when `max_epochs` is reached."""
    epochs = trainer.fit_loop.epoch_progress.current
    epochs.completed = epochs.processed  # type: ignore[attr-defined]


def event_file(logger: TensorBoardLogger) -> Any:
    """The file that TensorBoard reads, open: a `torch.utils.tensorboard.FileWriter`."""
    return logger.experiment._get_file_writer()
