"""Callbacks with which tests look into other processes."""

from pathlib import Path

import lightning as L
import torch

from src.callbacks.evaluation import Evaluation


class FailIn(L.Callback):
    """Raise in one of several processes, before a training step."""

    def __init__(self, *, rank: int, step: int) -> None:
        self.rank, self.step = rank, step

    def on_train_batch_start(self, trainer: L.Trainer, *_: object) -> None:
        if trainer.global_rank == self.rank and trainer.global_step == self.step:
            raise ValueError(f"process {self.rank} has had enough.")


class NoteThreads(L.Callback):
    """Leave the number of torch's threads in a file of the run's folder."""

    def __init__(self, *, folder: str) -> None:
        self.path = Path(folder) / "threads"

    def on_train_start(self, *_: object) -> None:
        self.path.write_text(str(torch.get_num_threads()))


def note_accuracy(evaluation: Evaluation, *, folder: str, digits: int = 2) -> None:
    """A view: the share of images that are right, as text in `<stage>.txt`."""
    Path(folder, f"{evaluation.stage}.txt").write_text(f"{1 - evaluation.wrong.mean():.{digits}f}")
