"""What an epoch's end costs: validation, checkpoints, callbacks, by part."""

import tempfile
import time
from collections import defaultdict
from functools import wraps
from pathlib import Path
from typing import Any

from lightning.pytorch.loops.evaluation_loop import _EvaluationLoop

from benchmarks.training.table import Table
from src.notebook import compose, train_in
from src.runs.checkpoint_file import WholeCheckpoints
from src.runs.summary import read_summary

EPOCHS, SHORT = 10, 10  # batches of a shortened epoch
HOOKS = (
    *("on_train_epoch_end", "on_validation_epoch_end", "on_validation_batch_end", "on_validation_start"),
    *("on_validation_end", "on_train_epoch_start"),
)


class Clock:
    """Seconds inside functions, each without those of the others that it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.stack: list[str] = []
        self.since = 0.0

    def book(self) -> None:
        now = time.perf_counter()
        if self.stack:
            self.seconds[self.stack[-1]] += now - self.since
        self.since = now

    def watch(self, owner: Any, name: str, label: str) -> None:
        function = getattr(owner, name)

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.book()
            self.stack.append(label)
            try:
                return function(*args, **kwargs)
            finally:
                self.book()
                self.stack.pop()

        setattr(owner, name, timed)


def boundaries() -> Table:
    """Ten epochs of a few batches each with the whole validation, set against ten whole epochs' training."""
    clock = Clock()
    clock.watch(_EvaluationLoop, "run", "validation")
    clock.watch(WholeCheckpoints, "save_checkpoint", "writing checkpoints")
    experiment = compose(
        "experiment=cpu",
        f"trainer.max_epochs={EPOCHS}",
        f"trainer.limit_train_batches={SHORT}",
        "data.num_workers=0",
    )
    with tempfile.TemporaryDirectory() as folder:
        import lightning as L

        class Watch(L.Callback):
            def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
                for callback in trainer.callbacks:  # type: ignore[attr-defined]
                    for hook in HOOKS:
                        clock.watch(callback, hook, type(callback).__name__)

        train_in(Path(folder), experiment, callbacks=[Watch()], test=False)
        facts = read_summary(folder)
    data = experiment.cfg.data
    training = EPOCHS * (data.num_train - data.num_val) / facts["images_per_second"]
    total = sum(clock.seconds.values())
    rows = [
        (name, f"{seconds:.2f}", f"{seconds / (training + total):.2%}")
        for name, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1])
        if seconds >= 0.005
    ]
    rows.append(("all boundaries", f"{total:.2f}", f"{total / (training + total):.2%}"))
    val_rate = EPOCHS * data.num_val / clock.seconds["validation"]
    return Table(
        "What the ends of epochs cost",
        ("part", "seconds in ten epochs", "of the run"),
        rows,
        f"`python -m benchmarks.training boundaries`. experiment=cpu, {EPOCHS} epochs of {SHORT} batches "
        f"with the whole validation of {data.num_val} images, timed inside; the run they are set against is "
        f"computed: {EPOCHS} x {data.num_train - data.num_val} images at the measured "
        f"{facts['images_per_second']:.0f} images/s. Validation: {val_rate:.0f} images/s. Aim: 3 %. The "
        "test and the start are not in it.",
    )
