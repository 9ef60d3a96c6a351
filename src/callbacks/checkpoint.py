"""Which weights are kept."""

import shutil
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only


class RunCheckpoint(ModelCheckpoint):
    """One checkpoint file in the run's folder, saved at the end of an epoch.

    With `monitor` it holds the best epoch by that metric and stays away from runs without
    validation; without, the last epoch. A run that resumes another one takes the other's best along; one
    that goes on in its own folder has it there, wherever that has been moved to.
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
        """Go on from another run's folder as if it were this one, with a copy of its best."""
        assert self.dirpath is not None
        new_best = Path(self.dirpath) / Path(state_dict["best_model_path"]).name
        old_best = new_best if new_best.is_file() else Path(state_dict["best_model_path"])
        kept = {}
        if self.monitor and old_best.is_file():
            copy_once(old_best, new_best)
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


@rank_zero_only
def copy_once(source: Path, target: Path) -> None:
    if source.resolve() != target.resolve():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
