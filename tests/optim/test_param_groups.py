from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import nn

from src.config.build import build
from src.config.resolvers import CONF_DIR
from src.notebook import compose
from src.optim.param_groups import head_of, kind_of, l1_norm, make_optimizer
from src.plot_schedule.curves import advance

SGD = partial(torch.optim.SGD, lr=0.1, weight_decay=0.5)
FACTORS = {"head": 2.0, "scale": 0.5, "bias": 64.0}


@cache
def composed(*overrides: str) -> Any:
    return compose(*overrides, "trainer.max_epochs=4").cfg


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 5), nn.Linear(5, 2, bias=False)
    )


def test_one_group_of_everything_in_the_networks_order() -> None:
    module = net()
    (group,) = make_optimizer(SGD, module).param_groups
    assert all(a is b for a, b in zip(group["params"], module.parameters(), strict=True))
    assert (group["lr"], group["weight_decay"]) == (0.1, 0.5)
    assert not {"lr_factor", "decay_factor"} & group.keys()


def test_norms_and_biases_can_be_spared() -> None:
    decayed, spared = make_optimizer(SGD, net(), decay_norm_and_bias=False).param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(4, 3, 3, 3), (5, 4), (2, 5)]
    assert [p.ndim for p in spared["params"]] == [1, 1, 1, 1]
    assert [group["weight_decay"] for group in (decayed, spared)] == [0.5, 0.0]


def test_kinds() -> None:
    module = net()
    kinds = [kind_of(name, p, head_of(module)) for name, p in module.named_parameters()]
    assert kinds == ["kernel", "bias", "scale", "bias", "kernel", "bias", "head"]


def test_kinds_have_their_factors_and_the_first_group_none() -> None:
    module = net()
    module[0].bias.requires_grad_(False)
    optimizer = make_optimizer(
        SGD, module, lr_factors=FACTORS, decay_factors={"bias": 3.0}, decay_norm_and_bias=True
    )
    got = [
        ([tuple(p.shape) for p in g["params"]], g["lr"], g["weight_decay"]) for g in optimizer.param_groups
    ]
    assert got == [
        ([(4, 3, 3, 3), (5, 4)], 0.1, 0.5),
        ([(4,)], 0.05, 0.5),
        ([(4,), (5,)], pytest.approx(6.4), 1.5),
        ([(2, 5)], 0.2, 0.5),
    ]


@pytest.mark.parametrize("optimizer_name", options("optimizer"))
@pytest.mark.parametrize("scheduler_name", options("scheduler"))
def test_every_schedule_keeps_the_factors_with_every_optimizer(
    scheduler_name: str, optimizer_name: str
) -> None:
    cfg = composed(f"scheduler={scheduler_name}").copy()
    cfg.optimizer = composed(f"optimizer={optimizer_name}").optimizer
    cfg.optimizer.lr = 0.02
    module = net()
    optimizer = make_optimizer(build(cfg.optimizer), module, lr_factors=FACTORS)
    rest = cfg.optimizer.get("rest", {"lr": 0.02})["lr"] / 0.02  # Muon's others have a rate of their own
    factors = {
        id(p): rest * FACTORS[kind] for p, kind in zip(module.parameters(), KINDS, strict=True) if kind
    }
    factors |= {id(module[0].weight): 1.0, id(module[3].weight): rest}
    contract: Any = build(cfg.scheduler).bind(optimizer, total_steps=20, total_epochs=4)
    assert optimizer.param_groups[0]["params"][0] is module[0].weight
    seen = set()
    for _ in range(20 if contract["interval"] == "step" else 4):
        base = optimizer.param_groups[0]["lr"]
        seen.add(base)
        for group in optimizer.param_groups:
            for p in group["params"]:
                assert group["lr"] == pytest.approx(factors[id(p)] * base, rel=1e-9)
        optimizer.step()
        advance(contract)
    assert max(seen) <= 0.02 * (1 + 1e-9)
    assert len(seen) > 1 or scheduler_name in ("constant", "plateau")


KINDS = ["", "bias", "scale", "bias", "", "bias", "head"]  # of the parameters of `net`


def test_l1_norm_is_the_sum_of_absolute_values() -> None:
    assert float(l1_norm([torch.tensor([3.0, -4.0]), torch.tensor([[-0.5]])])) == 7.5
