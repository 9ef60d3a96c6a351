"""Guards: they see what goes wrong, say it once, and keep what was good."""

import csv
import logging
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from src.callbacks.guards import FEW, Guards
from src.callbacks.update_monitor import Row
from src.config.cli import RunFailed
from src.engine.weights import load_checkpoint
from src.metrics.health import dead_shares, is_chance, is_lost_in_validation, steadily
from src.runs.summary import read_summary

DIGITS = [
    "data=digits",
    "model.width=8",
    "model.strides=[2,2,2,2]",
    "callbacks=training",
    "data.batch_size=64",
]


def test_dead_channels_are_counted() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1), nn.ReLU())
    first, second = net[0], net[2]
    with torch.no_grad():
        first.weight.zero_()
        first.bias.copy_(torch.tensor([1.0, -1.0, -2.0, 0.0]))  # one of four fires; 0 does not
        second.weight.fill_(1.0)
        second.bias.copy_(torch.tensor([0.0, -0.5]))
    assert dead_shares(net, torch.randn(2, 3, 5, 5)) == {"1": 0.75, "3": 0.0}


def test_one_pixel_of_one_image_is_enough_to_be_alive() -> None:
    net = nn.Sequential(nn.ReLU())
    net.register_parameter("p", nn.Parameter(torch.zeros(1)))
    images = -torch.ones(2, 3, 4, 4)
    images[1, 2, 3, 3] = 0.1
    assert dead_shares(net, images) == {"0": pytest.approx(2 / 3)}


def test_looking_leaves_modes_and_statistics() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU()).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    dead_shares(net, torch.randn(2, 3, 5, 5))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(module.training for module in net.modules())


@pytest.mark.parametrize(
    ("accuracy", "num_classes", "chance"), [(0.1, 10, True), (0.12, 10, False), (0.5, 2, True)]
)
def test_chance(accuracy: float, num_classes: int, chance: bool) -> None:
    assert is_chance(accuracy, num_classes) is chance


@pytest.mark.parametrize(
    ("loss", "train_loss", "lost"),
    [(3.5, 1.2, True), (3.4, 1.2, False), (3.5, 2.4, False), (math.nan, 1.2, False), (3.5, math.nan, False)],
)
def test_lost_in_validation(loss: float, train_loss: float, lost: bool) -> None:
    assert is_lost_in_validation(loss, train_loss, 10) is lost  # log 10 = 2.303, 1.5 times that 3.454


@pytest.mark.slow
def test_statistics_that_lag_are_told_of(run_tiny: Callable[..., Path]) -> None:
    short = [*DIGITS, "trainer.max_epochs=3", "optimizer.lr=0.05", "scheduler=constant"]
    said = (run_tiny(*short, "norm.momentum=0.0001") / "train.log").read_text()
    assert said.count("running statistics of BatchNorm lag") == 1
    assert "Try norm.momentum=0.5 (now 0.0001), a smaller optimizer.lr (now 0.05)" in said
    assert "running statistics" not in (run_tiny(*short, "norm=ln") / "train.log").read_text()


def test_a_loss_that_is_no_number_ends_the_run_in_one_line(
    run_tiny: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(RunFailed, match="training has diverged: the loss is (nan|inf) in epoch 1, step "):
        run_tiny(*DIGITS, "optimizer.lr=1e6", "scheduler=constant")
    (path,) = tmp_path.rglob("summary.json")
    status = read_summary(path.parent)["status"]
    assert status.startswith("failed: training has diverged")
    assert "Try a tenth of optimizer.lr=1e+06" in status
    assert not list(path.parent.rglob("*.ckpt")), "there was no good epoch"


@pytest.mark.parametrize("first_bad", [0, 1, 9, 10, 11])
def test_no_more_than_two_looks_pass_until_a_bad_loss_is_seen(first_bad: int) -> None:
    guards, seen = Guards(every_n_steps=5), []
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)

    def train() -> None:
        for step in range(100):
            seen.append(step)
            loss = torch.tensor(math.nan if step >= first_bad else 1.0)
            trainer = SimpleNamespace(global_step=step, current_epoch=0, callbacks=[], optimizers=[optimizer])
            guards.on_train_batch_end(trainer, nn.Identity(), {"loss": loss}, [torch.zeros(1)], step)

    with pytest.raises(ValueError, match=r"the loss is nan in epoch 1, step \d+\.") as stopped:
        train()
    noted = 5 * math.ceil(first_bad / 5)
    assert f"step {noted}." in str(stopped.value)
    assert seen[-1] == noted + 5


@pytest.mark.slow
def test_good_checkpoints_stay_when_a_later_epoch_breaks(
    run_tiny: Callable[..., Path], tmp_path: Path
) -> None:
    first = run_tiny(*DIGITS, "scheduler=constant", "trainer.max_epochs=1")
    good = load_checkpoint(first / "checkpoints" / "last.ckpt")
    breaking = "+callbacks.breaking._target_=tests.engine.stop.BreakInSecondEpoch"
    with pytest.raises(RunFailed, match="training has diverged: the loss is nan in epoch 2"):
        run_tiny(*DIGITS, "scheduler=constant", "trainer.max_epochs=3", breaking)
    (second,) = (p.parent for p in tmp_path.rglob("summary.json") if p.parent != first)
    kept = load_checkpoint(second / "checkpoints" / "last.ckpt")
    assert kept["epoch"] == 0
    assert all(torch.equal(value, good["state_dict"][key]) for key, value in kept["state_dict"].items())
    assert all(math.isfinite(float(v.double().abs().max())) for v in kept["state_dict"].values())


def test_hints_are_said_once(run_tiny: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run_dir = run_tiny(
        *DIGITS, "optimizer.lr=1e-9", "trainer.max_epochs=2", "callbacks.guards.dead_share=-1.0"
    )
    hints = [line for line in (run_dir / "train.log").read_text().splitlines() if line.startswith("hint:")]
    assert len(hints) == 2
    assert hints[0].startswith("hint: after epoch 1 training accuracy is ")
    assert "optimizer.lr=1e-09 is too large if the loss jumps about, too small if it hardly moves" in hints[0]
    assert "of the channels after " in hints[1]


def test_a_channel_that_fires_on_a_later_image_of_the_batch_is_not_dead(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    net, sizes = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), []
    with torch.no_grad():
        net[0].weight.fill_(1.0)
        net[0].bias.zero_()
    net[0].register_forward_hook(lambda _module, inputs, _output: sizes.append(len(inputs[0])))
    dark, guards = -torch.ones(40, 3, 2, 2), Guards()
    late, early = dark.clone(), dark.clone()
    late[30], early[3] = 1.0, 1.0
    guards.look_for_dead_units(net, early)
    assert sizes == [FEW], "alive on the first ones: no need to look at all"
    guards.look_for_dead_units(net, late)
    assert sizes == [FEW, FEW, 40]
    assert not caplog.messages
    guards.look_for_dead_units(net, dark)
    assert caplog.messages[0].startswith("hint: 100% of the channels after 1 are zero on a whole batch")
    guards.look_for_dead_units(net, dark)
    assert sizes == [FEW, FEW, 40, FEW, 40], "it is said once, and not looked for again"


def test_a_healthy_run_hears_nothing(run_tiny: Callable[..., Path]) -> None:
    run_dir = run_tiny(*DIGITS, "optimizer.lr=0.02", "norm.momentum=0.5", "trainer.max_epochs=2")
    assert "hint:" not in (run_dir / "train.log").read_text()


def test_steadily_asks_for_enough_values_strictly_between() -> None:
    assert steadily([9.0, 0.2, 0.3], 0.1, math.inf, 2)
    assert not steadily([0.2], 0.1, math.inf, 2)
    assert not steadily([0.2, 0.1], 0.1, math.inf, 2)
    assert not steadily([0.2, math.nan], 0.1, math.inf, 2)


def measured(update: float, *, lr: float = 0.1, clipped: float = 0.0, times: int = 5) -> list[Row]:
    row = Row(0, "stem", lr, 1.0, 1.0, update, 1.0, None, clipped)
    return [row] * times


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"stem": measured(0.25)}, "changes stem by 25% of its length, and has for 5 measurements"),
        ({"stem": measured(0.25)}, "optimizer.lr=0.01 usually helps"),
        ({"stem": measured(2e-7)}, "changes stem by 2e-07 of its length"),
        ({"stem": measured(2e-7)}, "optimizer.lr=1 usually helps"),
        ({"all": measured(0.01, clipped=0.95)}, "clipping changes 95% of the gradient's values"),
        ({"stem": measured(0.25, times=4)}, ""),
        ({"stem": [*measured(0.25), *measured(0.05, times=1)]}, ""),
        ({"stem": measured(2e-7, lr=0.001)}, ""),  # the end of a schedule
        ({"all": measured(0.25)}, ""),  # its layers tell
        ({"stem": measured(0.01, clipped=0.95), "all": measured(0.01, clipped=0.9)}, ""),
    ],
)
def test_hints_at_updates_and_clipping(
    rows: dict[str, list[Row]], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    guards = Guards()
    for _ in range(2):
        guards.look_at_updates(rows, top=0.1)
    assert caplog.text.count("hint:") == bool(words)
    assert words in caplog.text


def test_a_run_hears_of_its_small_updates_and_its_clipping(run_tiny: Callable[..., Path]) -> None:
    run_dir = run_tiny(
        *DIGITS,
        *(
            "scheduler=constant",
            "optimizer.lr=1e-7",
            "trainer.gradient_clip_val=1e-8",
            "trainer.max_epochs=1",
        ),
        "callbacks.updates.every_n_steps=2",
    )
    told = (run_dir / "train.log").read_text()
    assert "of its length, and has for 5 measurements: it hardly learns. optimizer.lr=1e-06 usually" in told
    assert "hint: clipping changes " in told


def test_rescaled_kernels_take_large_steps_on_purpose(run_tiny: Callable[..., Path]) -> None:
    muon = ["optimizer=muon", "scheduler=constant", "callbacks.updates.every_n_steps=1"]
    run_dir = run_tiny(*DIGITS, *muon, "trainer.max_epochs=1")
    with (run_dir / "updates.csv").open(newline="") as file:
        moved = [float(row["update"]) for row in csv.DictReader(file) if row["layer"] == "stem.conv"]
    assert min(moved[1:]) > 0.1
    assert "hint: a step changes" not in (run_dir / "train.log").read_text()
