"""A run from the first step to the test."""

from pathlib import Path

import lightning as L

from src.engine.machine import return_freed_memory


def fit_and_test(
    trainer: L.Trainer,
    module: L.LightningModule,
    datamodule: L.LightningDataModule,
    *,
    ckpt_path: str | None = None,
    test: bool = True,
) -> None:
    """Train, then test once: the best weights by validation, or the last where none were kept.

    Whoever chooses among runs leaves the test set alone: `test=False`.
    """
    trainer.fit(module, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=True)
    if test:
        return_freed_memory()  # explanations want tensors of other sizes than training left room for
        best = best_checkpoint(trainer)
        trainer.test(module, datamodule=datamodule, ckpt_path=best, weights_only=True, verbose=False)


def best_checkpoint(trainer: L.Trainer) -> str | None:
    """Path of the best weights by a monitored metric, if a callback kept any."""
    for callback in trainer.checkpoint_callbacks:
        path = str(getattr(callback, "best_model_path", ""))
        if getattr(callback, "monitor", None) and path and Path(path).is_file():
            return path
    return None
