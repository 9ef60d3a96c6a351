"""Short runs to be disturbed: on the digits, four epochs of eight steps, a checkpoint every third step."""

import json
import time
from pathlib import Path
from typing import Any

from tests.commands import Commands, Done, Running

NUM_EPOCHS, NUM_STEPS = 4, 8
ARGS = [
    *("data=digits", "data.batch_size=32", "model.width=4", "model.strides=[2,2,2,2]", "optimizer.lr=0.01"),
    *("callbacks=training", "~callbacks.samples", "trainer.accelerator=cpu", "trainer.log_every_n_steps=2"),
    *(f"trainer.max_epochs={NUM_EPOCHS}", f"trainer.limit_train_batches={NUM_STEPS}"),
    *("callbacks.last.every_n_steps=3", "callbacks.updates.every_n_steps=3"),
]
VARIANTS = [
    [f"norm={norm}", f"optimizer={optimizer}", *scheduler, f"data.num_workers={num_workers}"]
    for norm in ("bn", "ln")
    for optimizer in ("sgd", "adamw")
    for scheduler in (["scheduler=onecycle"], ["scheduler=plateau", "scheduler.patience=0"])
    for num_workers in (0, 2)
]


class Bench:
    """Commands that write below one folder, one thread each."""

    def __init__(self, commands: Commands, folder: Path) -> None:
        self.commands, self.folder = commands, folder
        self.undisturbed: dict[tuple[str, ...], Path] = {}
        self.seconds: dict[tuple[str, ...], float] = {}  # from a run's summary to its end

    def start(self, out: Path, *args: str) -> Running:
        env = {"OUTPUT_DIR": str(out), "OMP_NUM_THREADS": "1"}
        return self.commands.start("src.train", *args, env=env)

    def run(self, out: Path, *args: str) -> Done:
        with self.start(out, *args) as running:
            return running.wait()

    def whole(self, variant: list[str]) -> Path:
        """The folder of a run that nothing disturbs."""
        key = tuple(variant)
        if key not in self.undisturbed:
            out = self.folder / f"whole{len(self.undisturbed)}"
            with self.start(out, *ARGS, *variant) as running:
                began = until(running, lambda: bool(run_folders(out)))
                done = running.wait()
            if done.code:
                raise RuntimeError(f"an undisturbed run failed: {done.stdout}{done.stderr}")
            self.undisturbed[key], self.seconds[key] = run_folders(out)[-1], time.monotonic() - began
        return self.undisturbed[key]


def until(running: Running, happens: Any, *, poll: float = 0.0005) -> float:
    """Wait until something happens, or the command ends; the time of that (time.monotonic)."""
    while not happens() and not running.ended(poll):
        pass
    return time.monotonic()


def run_folders(out: Path) -> list[Path]:
    """Folders of runs that have begun, the one that is done last."""
    found = [path.parent for path in out.glob("*/runs/*/summary.json")]
    return sorted(found, key=lambda folder: status(folder) == "completed")


def status(folder: Path) -> str:
    return str(json.loads((folder / "summary.json").read_text(encoding="utf-8"))["status"])
