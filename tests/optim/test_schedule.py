"""Learning rates at steps that a reader can work out, and through a resume."""

import math
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from src.config.build import build
from src.config.resolvers import CONF_DIR
from src.notebook import compose
from src.optim.schedule import cosine_multiplier, linear_multiplier

SCHEDULERS = sorted(path.stem for path in (CONF_DIR / "scheduler").glob("*.yaml"))
OPTIMIZERS = sorted(path.stem for path in (CONF_DIR / "optimizer").glob("*.yaml"))


@cache
def composed(*overrides: str) -> Any:
    return compose(*overrides).cfg


def make(*overrides: str, steps_per_epoch: int = 10) -> tuple[torch.optim.Optimizer, dict[str, Any]]:
    own = [o for o in overrides if o.startswith("optimizer")]
    cfg = composed(*(o for o in overrides if o not in own)).copy()
    if own:
        cfg.optimizer = composed(*own).optimizer
    optimizer = build(cfg.optimizer)([nn.Parameter(torch.ones(2, 2, 1, 1))])
    epochs = cfg.trainer.max_epochs
    return optimizer, build(cfg.scheduler).bind(
        optimizer, total_steps=epochs * steps_per_epoch, total_epochs=epochs
    )


def advance(contract: dict[str, Any], metric: float = 0.5) -> None:
    contract["scheduler"].step(*([metric] if "monitor" in contract else []))


def lrs(count: int, *overrides: str, **kwargs: int) -> list[float]:
    """The learning rates of the first intervals (steps or epochs), in units of the group's lr."""
    optimizer, contract = make("optimizer=sgd", "optimizer.lr=1.0", *overrides, **kwargs)
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        advance(contract)
    return found


@pytest.mark.parametrize(
    ("step", "multiplier"), [(0, 0.0), (5, 0.5), (10, 1.0), (40, 0.75), (55, 0.5), (100, 0.0), (200, 0.0)]
)
def test_cosine_hits_known_points(step: int, multiplier: float) -> None:
    # 10 warm-up steps, then 90 cosine steps: cos(pi/3) = 1/2 at step 40
    assert cosine_multiplier(step, total_steps=100, warmup_steps=10) == pytest.approx(multiplier, abs=1e-12)


@pytest.mark.parametrize(
    ("step", "multiplier"), [(0, 0.1), (4, 0.5), (9, 1.0), (54, 0.6), (99, 0.2), (200, 0.2)]
)
def test_linear_hits_known_points(step: int, multiplier: float) -> None:
    # 9 warm-up steps of a tenth, then 90 steps from 1 to 0.2: half of the way at step 54
    assert linear_multiplier(step, total_steps=99, warmup_steps=9, end=0.2) == pytest.approx(multiplier)


def test_linear_without_warm_up_has_one_slope_and_no_step_at_zero() -> None:
    got = [linear_multiplier(step, total_steps=5, warmup_steps=0, end=0.0) for step in range(5)]
    assert got == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])
    assert [linear_multiplier(k, total_steps=1, warmup_steps=0, end=0.0) for k in (0, 1)] == [1.0, 0.0]


def test_step_and_multistep_and_exponential_fit_the_run() -> None:
    assert lrs(9, "scheduler=step", "trainer.max_epochs=9") == pytest.approx([1] * 3 + [0.1] * 3 + [0.01] * 3)
    got = lrs(8, "scheduler=multistep", "trainer.max_epochs=8")
    assert got == pytest.approx([1] * 4 + [0.1] * 2 + [0.01] * 2)
    assert lrs(5, "scheduler=exponential", "trainer.max_epochs=4")[-1] == pytest.approx(0.01)
    assert lrs(5, "scheduler=constant") == [1.0] * 5


def test_onecycle_starts_peaks_and_ends_where_it_should() -> None:
    got = lrs(100, "scheduler=onecycle", "trainer.max_epochs=10")
    assert got[0] == pytest.approx(1 / 25)
    assert got[29] == pytest.approx(1.0)  # torch puts the peak at pct_start * total_steps - 1
    assert got[-1] == pytest.approx(1 / 25 / 1e4)


def test_plateau_waits_for_its_patience() -> None:
    # the first value is the best; three more without a rise are patience, the next one cuts
    assert lrs(6, "scheduler=plateau") == pytest.approx([1.0] * 5 + [0.2])


def test_resnet18_94_rises_for_a_fifth_and_falls_in_a_line() -> None:
    optimizer, contract = make("experiment=resnet18_94", steps_per_epoch=100)
    got = []
    for _ in range(2600):
        got.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        advance(contract)
    assert got[519] == max(got) == pytest.approx(0.2)
    assert got[519 + 1040] == pytest.approx(0.1, abs=1e-4)  # half of the way down
    assert got[-1] < 1e-5


# Overrides, and what multiplies optimizer.lr in which interval (epoch, or step: ten an epoch), by hand
BY_HAND: dict[str, tuple[list[str], dict[int, float]]] = {
    "constant": ([], {0: 1, 9: 1}),
    # 10 of 100 steps rise; cos(pi / 3) = 1/2 a third of the way down, at step 40
    "cosine": (["scheduler.warmup=0.1", "trainer.max_epochs=10"], {0: 0, 5: 0.5, 10: 1, 40: 0.75, 55: 0.5}),
    "exponential": (["trainer.max_epochs=10"], {0: 1, 5: 0.1, 10: 0.01}),
    "linear": (["trainer.max_epochs=10"], {0: 1, 25: 0.75, 50: 0.5, 99: 0.01}),
    "multistep": (["trainer.max_epochs=8"], {3: 1, 4: 0.1, 5: 0.1, 6: 0.01}),
    # The peak is at 0.3 * 100 - 1; from there 70 steps down, half of it after 35
    "onecycle": (["trainer.max_epochs=10"], {0: 1 / 25, 29: 1, 64: 0.5 + 2e-6, 99: 4e-6}),
    "plateau": ([], {0: 1, 4: 1, 5: 0.2, 8: 0.2, 9: 0.04}),  # the metric never rises: four each
    # 20 steps rise, the first of them to 1/21; 80 fall
    "triangular": (["trainer.max_epochs=10"], {0: 1 / 21, 20: 1, 60: 0.5, 99: 1 / 80}),
    "step": (["trainer.max_epochs=9"], {2: 1, 3: 0.1, 5: 0.1, 6: 0.01}),
}


@pytest.mark.parametrize("optimizer_name", OPTIMIZERS)
@pytest.mark.parametrize("scheduler_name", SCHEDULERS)
def test_every_scheduler_moves_every_optimizer_as_worked_out_by_hand(
    scheduler_name: str, optimizer_name: str
) -> None:
    overrides, by_hand = BY_HAND[scheduler_name]
    optimizer, contract = make(f"scheduler={scheduler_name}", f"optimizer={optimizer_name}", *overrides)
    top = optimizer.defaults["lr"]
    for interval in range(max(by_hand) + 1):
        if interval in by_hand:
            got = optimizer.param_groups[0]["lr"]
            assert got == pytest.approx(by_hand[interval] * top, rel=1e-6, abs=1e-12), interval
        optimizer.step()
        advance(contract)


@pytest.mark.parametrize("optimizer_name", OPTIMIZERS)
def test_onecycle_moves_momentum_against_the_rate_and_goes_on_exactly(optimizer_name: str) -> None:
    names = ("scheduler=onecycle", "scheduler.cycle_momentum=true", f"optimizer={optimizer_name}")
    optimizer, contract = make(*names, "trainer.max_epochs=10")
    found = []
    for step in range(100):
        if step == 50:  # as a resumed run does
            states = optimizer.state_dict(), contract["scheduler"].state_dict()
            optimizer, contract = make(*names, "trainer.max_epochs=10")
            optimizer.load_state_dict(states[0])
            contract["scheduler"].load_state_dict(states[1])
        group = optimizer.param_groups[0]
        found.append(group["betas"][0] if "betas" in group else group["momentum"])
        optimizer.step()
        advance(contract)
    assert [found[step] for step in (0, 29, 64, 99)] == pytest.approx([0.95, 0.85, 0.9, 0.95])


@pytest.mark.parametrize("optimizer_name", OPTIMIZERS)
@pytest.mark.parametrize("scheduler_name", SCHEDULERS)
def test_every_scheduler_goes_on_exactly_with_every_optimizer(
    scheduler_name: str, optimizer_name: str
) -> None:
    names = (f"scheduler={scheduler_name}", f"optimizer={optimizer_name}", "trainer.max_epochs=3")
    metrics = [0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]

    def follow(optimizer: Any, contract: dict[str, Any], values: list[float]) -> list[float]:
        found = []
        for value in values:
            for group in optimizer.param_groups:
                group["params"][0].grad = torch.ones(2, 2, 1, 1)
            optimizer.step()
            advance(contract, value)
            found.append(optimizer.param_groups[0]["lr"])
        return found

    want = follow(*make(*names), metrics)
    first, contract = make(*names)
    got = follow(first, contract, metrics[:7])
    second, resumed = make(*names)
    second.load_state_dict(first.state_dict())
    resumed["scheduler"].load_state_dict(contract["scheduler"].state_dict())
    assert got + follow(second, resumed, metrics[7:]) == want
    assert all(math.isfinite(lr) and lr >= 0 for lr in want)
    assert contract["interval"] in ("step", "epoch")
