"""Which weights are kept, and when."""

import logging
import shutil
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from src.lightning_private import begin_next_epoch, take_back_batch
from src.runs.checkpoint_file import to_disk
from src.runs.table import shown
from src.signals import Held, end, held

log = logging.getLogger(__name__)


class RunCheckpoint(ModelCheckpoint):
    """One checkpoint file in the run's folder, saved at the end of an epoch.

    With `monitor` it holds the best epoch by that metric and stays away from runs without
    validation; without, the last epoch. A run that resumes another one takes the other's best along; one
    that continues in its own folder has it there, wherever that has been moved to.
    """

    def __init__(self, *, dirpath: str, filename: str, monitor: str | None = None, mode: str = "max") -> None:
        super().__init__(
            dirpath=dirpath,
            filename=filename,
            monitor=monitor,
            mode=mode,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        validates = trainer.datamodule.has_val and trainer.limit_val_batches  # type: ignore[attr-defined]
        if self.monitor and not validates:
            self.save_top_k = 0
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from another run's folder as if it were this one, with a copy of its best."""
        assert self.dirpath is not None
        new_best = Path(self.dirpath) / Path(state_dict["best_model_path"]).name
        old_best = new_best if new_best.is_file() else Path(state_dict["best_model_path"])
        kept = {}
        if self.monitor and old_best.is_file():
            _copy_once(old_best, new_best)
            score = state_dict["best_model_score"]
            kept = {
                "best_model_score": score,
                "best_model_path": str(new_best),
                "kth_best_model_path": str(new_best),
                "kth_value": score,
                "best_k_models": {str(new_best): score},
            }
        fresh = {key: getattr(self, key) for key in ("best_model_path", "best_model_score", "kth_value")}
        fresh |= {"kth_best_model_path": "", "best_k_models": {}, "last_model_path": ""}
        super().load_state_dict({"dirpath": self.dirpath} | fresh | kept)


class LastCheckpoint(RunCheckpoint):
    """`last.ckpt`: at the end of each epoch, within epochs every so often, and before a signal ends the run.

    Ctrl-C, SIGTERM and SIGUSR1 wait for the end of the step, or of the validation that is being done, and
    are answered after the checkpoint; the second one is answered at once. Between two steps that share a
    gradient (`trainer.accumulate_grad_batches`) nothing is saved: a gradient is in no checkpoint.

    Args:
        dirpath: the folder for checkpoints, in the run's.
        filename: without `.ckpt`.
        every_n_steps: optimizer steps from one checkpoint to the next within an epoch; None: not by steps.
        every_minutes: the same in minutes; None: not by time.
    """

    def __init__(
        self,
        *,
        dirpath: str,
        filename: str,
        every_n_steps: int | None = None,
        every_minutes: float | None = None,
    ) -> None:
        super().__init__(dirpath=dirpath, filename=filename)
        self.file = Path(dirpath) / f"{filename}.ckpt"
        self.every_steps, self.every_minutes = every_n_steps, every_minutes
        self.held, self.release = Held(), ExitStack()
        self.saved_at = 0.0  # seconds of time.monotonic
        self.within = False  # an epoch, at this moment, saves

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        begin_next_epoch(trainer)
        self.held = self.release.enter_context(held())
        self.saved_at = time.monotonic()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx % trainer.accumulate_grad_batches:
            return
        asked = _any_rank(trainer, self.held.number is not None)
        # A run of a few batches over and over has Lightning's own order, which cannot continue in its middle
        within = batch_idx > 0 and not trainer.overfit_batches  # type: ignore[attr-defined]
        if within and (asked or _any_rank(trainer, self.is_due(trainer))):
            self.save_within(trainer)
        if asked:
            self.leave(trainer)

    def is_due(self, trainer: L.Trainer) -> bool:
        by_steps = bool(self.every_steps) and trainer.global_step % self.every_steps == 0  # type: ignore[operator]
        minutes = (time.monotonic() - self.saved_at) / 60
        return by_steps or (self.every_minutes is not None and minutes >= self.every_minutes)

    def save_within(self, trainer: L.Trainer) -> None:
        """Save between two steps of an epoch; a resumed run does the later one first."""
        for logger in trainer.loggers:
            logger.save()
        if trainer.is_global_zero:
            to_disk(self.file.parent.parent)
        self.within = True
        trainer.save_checkpoint(self.file)
        self.within = False
        self.saved_at = time.monotonic()

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Lightning has begun with the next batch when it calls `on_train_batch_start`: take it back."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if self.within:
            take_back_batch(checkpoint)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            to_disk(self.file.parent.parent)
        super().on_train_epoch_end(trainer, pl_module)
        self.saved_at = time.monotonic()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        self.release.close()
        if _any_rank(trainer, self.held.number is not None):
            self.leave(trainer)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        super().on_exception(trainer, pl_module, exception)
        self.release.close()

    def leave(self, trainer: L.Trainer) -> None:
        """End the run as the signal asks, after the checkpoint; other processes of the run do the same.

        Raises:
            KeyboardInterrupt, Terminated: always.
        """
        number = self.held.number or signal.SIGTERM
        name, run_dir = signal.Signals(number).name, shown(self.file.parent.parent)
        saved = f"saved after step {trainer.global_step}" if self.file.is_file() else "nothing to save yet"
        rank_zero_only(log.info)(f"{name}: {saved}; resume='{run_dir}' resumes it")
        end(number)


def _any_rank(trainer: L.Trainer, here: bool) -> bool:
    """Whether one of the run's processes says so: all must do the same."""
    return trainer.strategy.reduce_boolean_decision(here, all=False) if trainer.world_size > 1 else here


@rank_zero_only
def _copy_once(source: Path, target: Path) -> None:
    if source.resolve() != target.resolve():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
