"""Averages of weights against the same sums over snapshots."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from src.callbacks.average import UNAVERAGED, decay_at, weights
from src.notebook import compose, train_in
from src.runs.summary import read_summary
from tests.conftest import TINY

SHORT = [
    *TINY,
    *("data=digits", "data.batch_size=64", "model.width=4", "model.strides=[2,2,2,2]", "callbacks=training"),
    *("trainer.max_epochs=2", "trainer.limit_train_batches=5", "optimizer.lr=0.1", "scheduler=constant"),
]
State = dict[str, Tensor]


class Snapshots(L.Callback):
    """The weights before and after each batch, and those that are validated and tested."""

    def __init__(self) -> None:
        self.before: list[State] = []
        self.after: list[State] = []
        self.evaluated: list[State] = []

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self.before.append(snapshot(pl_module))

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self.after.append(snapshot(pl_module))

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.evaluated.append(snapshot(pl_module))

    on_test_epoch_end = on_validation_epoch_end


def snapshot(pl_module: L.LightningModule) -> State:
    return {name: tensor.clone() for name, tensor in weights(pl_module).items()}


def run(folder: Path, *overrides: str) -> Snapshots:
    seen = Snapshots()
    folder.mkdir(exist_ok=True)
    train_in(folder, compose(*SHORT, *overrides), callbacks=[seen])
    return seen


def checkpoint(folder: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return content


def mix(average: State, new: State, decay: float) -> State:
    return {name: decay * average[name] + (1 - decay) * new[name] for name in average}


def same(got: State, want: State) -> None:
    for name, tensor in want.items():
        torch.testing.assert_close(got[name], tensor, rtol=1e-5, atol=1e-6, msg=name)


def test_the_ramp_by_hand() -> None:
    assert [decay_at(n, 0.5) for n in (0, 2, 8, 100)] == [0.1, 0.25, 0.5, 0.5]


@pytest.mark.parametrize(
    ("ramp", "decays"), [("false", [0.75] * 5), ("true", [0.1, 2 / 11, 0.25, 4 / 13, 5 / 14])]
)
def test_ema_is_what_snapshots_make_and_what_is_validated_kept_and_tested(
    ramp: str, decays: list[float], tmp_path: Path
) -> None:
    overrides = ["average=ema", "average.decay=0.75", "average.every_n_steps=2", f"average.ramp={ramp}"]
    seen = run(tmp_path, *overrides)
    average, after_epoch = seen.before[0], []
    for step, new in enumerate(seen.after, start=1):
        if step % 2 == 0:
            average = mix(average, new, decays[step // 2 - 1])
        if step % 5 == 0:
            after_epoch.append(average)
    assert "net.stem.norm.running_var" in average
    for got, want in zip(seen.evaluated[:2], after_epoch, strict=True):
        same(got, want)
    last, best = checkpoint(tmp_path, "last"), checkpoint(tmp_path, "best")
    same(last["state_dict"], after_epoch[1])
    same(last[UNAVERAGED], seen.after[-1])
    same(best["state_dict"], seen.evaluated[2])  # the test
    # Training knows nothing of it
    for got, want in zip(seen.before[1:], seen.after[:-1], strict=True):
        assert all(torch.equal(got[name], want[name]) for name in want)


def test_lookahead_goes_on_from_its_slow_weights(tmp_path: Path) -> None:
    seen = run(tmp_path, "average=lookahead", "average.every_n_steps=3", "average.decay=0.25")
    slow = seen.before[0]
    for step, fast in enumerate(seen.after, start=1):
        if step % 3 == 0:
            slow = mix(slow, fast, 0.25)
        if step < len(seen.before):
            same(seen.before[step], slow if step % 3 == 0 else fast)
    same(checkpoint(tmp_path, "last")["state_dict"], slow)
    same(checkpoint(tmp_path, "last")[UNAVERAGED], seen.after[-1])


def test_without_validation_the_average_is_tested_and_accumulated_batches_are_one_step(
    tmp_path: Path,
) -> None:
    overrides = ["average=ema", "average.every_n_steps=2", "data.num_val=0", "average.ramp=false"]
    seen = run(tmp_path, *overrides, "trainer.accumulate_grad_batches=2", "trainer.limit_train_batches=6")
    average = seen.before[0]
    for step in (2, 4, 6):  # of two batches each
        average = mix(average, seen.after[2 * step - 1], 0.99)
    (tested,) = seen.evaluated
    same(tested, average)
    assert not torch.equal(tested["net.head.weight"], seen.after[-1]["net.head.weight"])
    assert read_summary(tmp_path)["status"] == "completed"
