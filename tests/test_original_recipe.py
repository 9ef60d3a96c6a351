"""`experiment=resnet18_ln` and `resnet18_bn` beside the original's own training loop, step by step."""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from src.config.build import build
from src.engine.quiet import quiet
from src.notebook import compose
from src.plot_schedule.curves import a_weight, simulate
from tests import original_recipe
from tests.original_recipe import Step, cycle_at, make_optimizer, resnet18

RECIPE = {"adam": [], "sgd": ["optimizer=sgd", "optimizer.lr=0.01"]}
WIDTH = 8


class Recorder(L.Callback):
    """Loss and weights of every step."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def on_train_batch_end(self, trainer: Any, module: Any, *args: Any) -> None:
        weights = [p.detach().clone() for p in module.net.parameters()]
        self.steps.append(Step(module.batch_loss.item(), weights))


@pytest.fixture
def batches() -> list[tuple[Tensor, Tensor]]:
    rng = torch.Generator().manual_seed(0)
    return [
        (
            torch.randn(16, 3, 16, 16, generator=rng, dtype=torch.float64),
            torch.randint(10, (16,), generator=rng),
        )
        for _ in range(20)
    ]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("norm", ["ln", "bn"])
def test_twenty_steps_are_the_originals(
    norm: str, optimizer: str, batches: list[tuple[Tensor, Tensor]], tmp_path: Path
) -> None:
    cfg = compose(
        *(f"experiment=resnet18_{norm}", *RECIPE[optimizer], f"model.width={WIDTH}"),
        *("trainer=cpu", "trainer.precision=64-true", "trainer.max_epochs=1"),
    ).cfg
    cfg.paths.run_dir = str(tmp_path)
    torch.manual_seed(1)
    module = build(cfg.module).double()
    recorder = Recorder()
    quiet()
    trainer = build(
        cfg.trainer,
        limit_val_batches=0,
        callbacks=[recorder],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    loader: Any = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    trainer.fit(module, loader, loader)  # type: ignore[arg-type]

    torch.manual_seed(1)
    net = resnet18(norm, WIDTH).double()
    want = original_recipe.train(net, make_optimizer(optimizer, net), batches)
    losses = [abs(ours.loss - theirs.loss) for ours, theirs in zip(recorder.steps, want, strict=True)]
    weights = [
        (a - b).abs().max().item()
        for ours, theirs in zip(recorder.steps, want, strict=True)
        for a, b in zip(ours.weights, theirs.weights, strict=True)
    ]
    print(f"{norm} {optimizer}: losses differ by {max(losses):.1e}, weights by {max(weights):.1e}")
    assert len(want) == 20
    assert want[0].loss != want[-1].loss
    assert max(losses) < 1e-12
    assert max(weights) < 1e-12


@pytest.mark.parametrize("norm", ["ln", "bn"])
def test_rate_and_beta1_of_all_7840_steps_are_the_originals(norm: str) -> None:
    cfg = compose(f"experiment=resnet18_{norm}").cfg
    got = simulate(build(cfg.optimizer)(a_weight()), build(cfg.scheduler), steps_per_epoch=196, epochs=40)
    want = np.array([cycle_at(step, 40 * 196) for step in range(40 * 196)])
    # Near the end cos + 1 cancels: of its own size the rate is known to 1e-10 there, of the highest to 1e-16
    np.testing.assert_allclose(got.lr, want[:, 0], rtol=1e-12, atol=1e-12 * 0.01)
    np.testing.assert_allclose(got.momentum, want[:, 1], rtol=1e-12)
    # The log prints the rate after each epoch, which the next epoch's first step has
    printed = [0.00188, 0.00146, 0.00109, 0.00076, 0.00049, 0.00028, 0.00012, 0.00003]
    assert [round(rate, 5) for rate in got.lr[32 * 196 :: 196]] == printed
    assert round(got.lr[-1], 5) == 0  # epoch 40


@pytest.mark.parametrize("norm", ["ln", "bn"])
def test_the_whole_network_has_the_originals_layers_and_size(norm: str) -> None:
    cfg = compose(f"experiment=resnet18_{norm}").cfg
    with torch.device("meta"):
        ours, theirs = build(cfg.model), resnet18(norm, 64)
    assert [p.shape for p in ours.parameters()] == [p.shape for p in theirs.parameters()]
    assert sum(p.numel() for p in ours.parameters()) == 11_173_962


def test_init_torch_draws_pytorchs_own_weights() -> None:
    model = compose("norm=bn", "init=torch", "model.width=4").cfg.model
    torch.manual_seed(2)
    ours = build(model)
    torch.manual_seed(2)
    theirs = resnet18("bn", 4)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)
