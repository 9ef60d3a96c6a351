"""The monitor against snapshots taken outside of it, and against the same training without it."""

import csv
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf, open_dict
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import (
    STORE_EVERYTHING_SIZE_GUIDANCE,
    EventAccumulator,
)
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.utils.data import DataLoader, TensorDataset

from src.callbacks.update_monitor import Row, UpdateMonitor, conv_updates
from src.config.resolvers import CONF_DIR
from src.drawing.charts import as_image
from src.drawing.updates import ConvUpdate, updates_figure
from src.engine.classifier import Classifier
from src.engine.quiet import quiet
from src.models.resnet import ResNet
from src.notebook import compose, train
from src.optim.schedule import Schedule

BATCHES, BATCH = 6, 8
LAYERS = ["stem.conv", "stage1.block1.conv1", "stage1.block1.conv2", "stage2.block1.conv1"]
LAYERS += ["stage2.block1.conv2", "stage2.block1.shortcut.conv", "head"]
PLAIN = partial(SGD, lr=0.1)
SMALL: dict[str, Any] = {"width": 4, "strides": (1, 2), "num_blocks": (1, 1)}


class Outside(L.Callback):
    """Weights before and after each batch, and complete gradients before clipping, by other hooks."""

    def __init__(self) -> None:
        self.before: list[dict[str, Tensor]] = []
        self.after: list[dict[str, Tensor]] = []
        self.gradients: list[dict[str, Tensor]] = []

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        self.before.append(copies(pl_module.net))

    def on_after_backward(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.gradients.append({name: p.grad.clone() for name, p in pl_module.net.named_parameters()})

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        self.after.append(copies(pl_module.net))


def copies(net: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in net.named_parameters()}


def halving(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)


def fit(
    folder: Path,
    optimizer: Callable[..., Any] = PLAIN,
    *,
    monitor: UpdateMonitor | None = None,
    norm_layer: Any = nn.BatchNorm2d,
    max_epochs: int = 1,
    **trainer: Any,
) -> tuple[Outside, nn.Module]:
    """Six batches an epoch with a small ResNet; lr halves after each step."""
    quiet()
    torch.manual_seed(0)
    net = ResNet(5, norm_layer, **SMALL)
    module = Classifier(
        net=net,
        optimizer=optimizer,
        schedule=Schedule(factory=halving, interval="step"),
        loss=nn.CrossEntropyLoss(),
    )
    images = torch.randn(BATCHES * BATCH, 3, 8, 8)
    if trainer.get("precision") == "64-true":
        images = images.double()
    loader = DataLoader(TensorDataset(images, torch.arange(len(images)) % 5), batch_size=BATCH)
    outside = Outside()
    L.Trainer(
        max_epochs=max_epochs,
        accelerator="cpu",
        limit_val_batches=0,
        log_every_n_steps=1,
        callbacks=[outside] + ([monitor] if monitor else []),
        logger=TensorBoardLogger(folder, name="", version=""),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **trainer,
    ).fit(module, loader, loader)
    return outside, net


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / "updates.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def long(tensors: dict[str, Tensor], layer: str) -> Tensor:
    """A layer's weights, or all, as one float64 vector."""
    chosen = tensors.values() if layer == "all" else [tensors[f"{layer}.weight"]]
    return torch.cat([t.flatten().double() for t in chosen])


def test_plain_sgd_moves_by_lr_times_the_gradient(tmp_path: Path) -> None:
    monitor = UpdateMonitor(folder=str(tmp_path), every_n_steps=2)
    outside, _ = fit(tmp_path, monitor=monitor, precision="64-true")
    rows = read(tmp_path)
    assert [(row["step"], row["layer"]) for row in rows] == [
        (step, layer) for step in "024" for layer in [*LAYERS, "all"]
    ]
    for row in rows:
        step, layer = int(row["step"]), row["layer"]
        lr = 0.1 * 0.5**step
        gradient, weights = long(outside.gradients[step], layer), long(outside.before[step], layer)
        assert float(row["lr"]) == pytest.approx(lr)
        assert float(row["grad_norm"]) == pytest.approx(gradient.norm().item(), rel=1e-6)
        assert float(row["weight_norm"]) == pytest.approx(weights.norm().item(), rel=1e-6)
        want = lr * gradient.norm() / weights.norm()
        assert float(row["update"]) == pytest.approx(want.item(), rel=1e-6)
        if layer not in ("head", "all"):  # scale-invariant: the gradient is a tangent
            assert float(row["angle"]) == pytest.approx(math.degrees(math.atan(want)), rel=1e-3)
        assert row["equilibrium"] == "", "no decay, no equilibrium"
        assert float(row["clipped"]) == 0.0


OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "sgd": partial(SGD, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "adam": partial(Adam, lr=0.01, weight_decay=0.01),
    "adamw": partial(AdamW, lr=0.01, weight_decay=0.1),
}
CLIPS: dict[str, dict[str, Any]] = {
    "value": {"gradient_clip_val": 0.02, "gradient_clip_algorithm": "value"},
    "norm": {"gradient_clip_val": 0.5, "gradient_clip_algorithm": "norm"},
}


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_equals_snapshots_taken_outside(optimizer: str, clip: str, accumulate: int, tmp_path: Path) -> None:
    monitor = UpdateMonitor(folder=str(tmp_path), every_n_steps=1)
    outside, _ = fit(
        tmp_path,
        OPTIMIZERS[optimizer],
        monitor=monitor,
        accumulate_grad_batches=accumulate,
        **CLIPS[clip],
    )
    rows = read(tmp_path)
    steps = BATCHES // accumulate
    assert [int(row["step"]) for row in rows[:: len(LAYERS) + 1]] == list(range(steps))
    assert len(rows) == steps * (len(LAYERS) + 1)
    for row in rows:
        batch, layer = accumulate * (int(row["step"]) + 1) - 1, row["layer"]  # the last one of the step
        old, new = (long(found[batch], layer) for found in (outside.before, outside.after))
        gradient = long(outside.gradients[batch], layer)
        assert float(row["update"]) == pytest.approx(((new - old).norm() / old.norm()).item(), rel=1e-6)
        assert float(row["grad_norm"]) == pytest.approx(gradient.norm().item(), rel=1e-6)
        cosine = (old @ new / old.norm() / new.norm()).clamp(max=1.0)
        assert float(row["angle"]) == pytest.approx(math.degrees(math.acos(cosine)), rel=1e-4)
        total = long(outside.gradients[batch], "all").norm()
        touched = {"value": gradient.abs() > 0.02, "norm": total > 0.5}[clip].double().mean()
        assert float(row["clipped"]) == pytest.approx(touched.item())
    assert max(float(row["clipped"]) for row in rows) > 0.0


@pytest.mark.parametrize(
    ("optimizer", "line"),
    # (1 + 1.8 - 1.458) / 1.9 and 0.1 / 1.9, times 2 lr decay, at lr 0.1 and 0.01 of the first step
    [("sgd", math.sqrt(0.002 * 1.342 / 1.9)), ("adam", None), ("adamw", math.sqrt(0.002 * 0.1 / 1.9))],
)
def test_lines_for_convs_in_front_of_norms(optimizer: str, line: float | None, tmp_path: Path) -> None:
    fit(tmp_path, OPTIMIZERS[optimizer], monitor=UpdateMonitor(folder=str(tmp_path), every_n_steps=2))
    rows = {(row["step"], row["layer"]): row["equilibrium"] for row in read(tmp_path)}
    for layer in LAYERS[:-1]:
        for step, share in (("0", 1.0), ("2", 0.5)):  # lr fell to a quarter
            value = rows[step, layer]
            assert (value and float(value)) == ("" if line is None else pytest.approx(line * share))
    assert rows["0", "head"] == rows["0", "all"] == ""


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance=STORE_EVERYTHING_SIZE_GUIDANCE)
    return found.Reload()


def test_tensorboard_says_what_the_file_says(tmp_path: Path) -> None:
    monitor = UpdateMonitor(folder=str(tmp_path), every_n_steps=2, histograms=True)
    fit(tmp_path, OPTIMIZERS["sgd"], monitor=monitor, max_epochs=2, **CLIPS["value"])
    rows, board = read(tmp_path), events(tmp_path)
    kinds = {"update": "update", "weight_norm": "weight_norm", "grad_norm": "grad_norm", "angle": "angle"}
    kinds |= {"update_line": "equilibrium"}
    written = {
        (f"{kind}/{row['layer']}", int(row["step"])): float(row[column])
        for row in rows
        for kind, column in kinds.items()
        if row[column]
    }
    written |= {
        ("clip/share", int(row["step"])): float(row["clipped"]) for row in rows if row["layer"] == "all"
    }
    tags = [t for t in board.Tags()["scalars"] if t.split("/")[0] in {*kinds, "clip"}]
    shown = {(tag, event.step): event.value for tag in tags for event in board.Scalars(tag)}
    assert shown == pytest.approx(written, rel=1e-6)
    assert len(written) == 6 * (4 * 8 + 6 + 1)
    # The same steps as what Lightning logs
    assert {event.step for event in board.Scalars("update/all")} <= {
        event.step for event in board.Scalars("train/loss_step")
    }

    wanted = {f"{kind}/{layer}" for kind in ("weights", "gradients") for layer in LAYERS}
    assert set(board.Tags()["histograms"]) == wanted
    for event in board.Histograms("gradients/head"):
        assert event.histogram_value.num == 5 * 8
        assert -0.02 - 1e-6 <= event.histogram_value.min < event.histogram_value.max <= 0.02 + 1e-6
    assert [event.step for event in board.Histograms("weights/head")] == [5, 11]

    (image,) = board.Images("train/updates")
    with Image.open(tmp_path / "updates.png") as picture:
        assert picture.width == 720  # twice what TensorBoard shows
        assert (image.width, image.height) == picture.size


def test_training_is_the_same_to_the_bit(tmp_path: Path) -> None:
    ends = []
    for name in ("with", "without"):
        folder = tmp_path / name
        folder.mkdir()
        monitor = UpdateMonitor(folder=str(folder), every_n_steps=1, histograms=True)
        outside, net = fit(
            folder,
            OPTIMIZERS["sgd"],
            monitor=monitor if name == "with" else None,
            max_epochs=2,
            **CLIPS["value"],
        )
        ends.append((outside, net.state_dict(), torch.get_rng_state()))
    (seen, weights, random), (seen2, weights2, random2) = ends
    assert all(torch.equal(weights[key], weights2[key]) for key in weights)  # running statistics too
    assert torch.equal(random, random2)
    for kind in ("before", "after", "gradients"):
        for one, other in zip(getattr(seen, kind), getattr(seen2, kind), strict=True):
            assert all(torch.equal(one[key], other[key]) for key in one)


def test_rows_of_steps_that_are_done_again_are_replaced(tmp_path: Path) -> None:
    for _ in range(2):
        fit(tmp_path, monitor=UpdateMonitor(folder=str(tmp_path), every_n_steps=3))
    lines = (tmp_path / "updates.csv").read_text(encoding="utf-8").splitlines()
    header = "step,layer,lr,grad_norm,weight_norm,update,angle,equilibrium,clipped"
    assert [n for n, line in enumerate(lines) if line == header] == [0]
    assert len(lines) == 1 + 2 * (len(LAYERS) + 1)


def test_only_the_first_process_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    monitor = UpdateMonitor(folder=str(tmp_path), every_n_steps=1, histograms=True)
    monitor.rows["all"] = [Row(0, "all", 0.1, 1.0, 1.0, 0.1, 5.7, None, 0.0)]
    for hook in ("on_before_optimizer_step", "on_train_batch_end", "on_train_epoch_end", "on_train_end"):
        getattr(monitor, hook)(None, None)  # returns before it looks at anything
    assert not list(tmp_path.iterdir())


def test_no_snapshot_is_kept_between_steps(tmp_path: Path) -> None:
    monitor = UpdateMonitor(folder=str(tmp_path), every_n_steps=4)
    held: list[bool] = []

    class Look(L.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            held.append(bool(monitor.before))

        def on_before_zero_grad(self, trainer: L.Trainer, *_: Any) -> None:
            held.append(bool(monitor.before))

    fit(tmp_path, monitor=monitor)
    assert not monitor.before
    assert not any(held)
    assert sorted({int(row["step"]) for row in read(tmp_path)}) == [0, 4]


@pytest.mark.parametrize(("optimizer", "norm_layer"), [("adam", nn.BatchNorm2d), ("sgd", nn.Identity)])
def test_a_picture_without_lines_or_without_norms(optimizer: str, norm_layer: Any, tmp_path: Path) -> None:
    monitor = UpdateMonitor(folder=str(tmp_path))
    fit(tmp_path, OPTIMIZERS[optimizer], monitor=monitor, norm_layer=norm_layer)
    with Image.open(tmp_path / "updates.png") as picture:
        assert picture.width == 720
    assert all(row["equilibrium"] == "" for row in read(tmp_path))


def test_the_picture_sets_the_settled_update_against_the_settled_line() -> None:
    def of(layer: str, updates: list[float], lines: list[float | None]) -> list[Row]:
        values = enumerate(zip(updates, lines, strict=True))
        return [Row(step, layer, 0.1, 1.0, 1.0, update, 1.0, line, 0.0) for step, (update, line) in values]

    rows = {
        "b": of("b", [9.0, 9.0, 9.0, 0.5], [2.0, 1.0, 0.0, -1.0]),
        "a": of("a", [9.0, 9.0, 9.0, 0.25], [None] * 4),
        "all": of("all", [3.0] * 4, [None] * 4),
    }
    assert conv_updates(rows, {"b"}) == [("b", 0.5, -1.0)]
    assert [(c.name, c.measured) for c in conv_updates(rows, {"a", "b"})] == [("b", 0.5), ("a", 0.25)]
    assert math.isnan(conv_updates(rows, {"a"})[0].predicted)
    figure = updates_figure(conv_updates(rows, {"a", "b"}), [0, 1], [3.0, 3.0])
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["b", "a"]
    assert figure.axes[0].yaxis_inverted(), "the first layer on top"


def test_a_step_that_moves_nothing_can_be_drawn() -> None:
    as_image(updates_figure([ConvUpdate("a", 0.0, math.nan), ConvUpdate("b", math.nan, 0.0)], [0], [0.0]))


def test_without_a_measurement_there_is_no_picture(tmp_path: Path) -> None:
    monitor = UpdateMonitor(folder=str(tmp_path))
    monitor.on_train_end(L.Trainer(logger=False, accelerator="cpu"), L.LightningModule())
    assert not list(tmp_path.glob("updates.*"))


def test_every_n_steps_is_checked() -> None:
    with pytest.raises(ValueError, match="every_n_steps must be 1 or more: got 0"):
        UpdateMonitor(folder=".", every_n_steps=0)


def test_a_run_with_the_configured_entry() -> None:
    overrides = ["callbacks=training", "data=squares", "data.num_train=80", "data.num_val=8"]
    overrides += ["data.num_test=8", "data.batch_size=8", "model.width=4", "model.strides=[2,2,2,2]"]
    experiment = compose(*overrides, "trainer.max_epochs=1", "trainer.accelerator=cpu")
    entry = OmegaConf.load(CONF_DIR / "callbacks" / "_updates.yaml")
    with open_dict(experiment.cfg):
        experiment.cfg.callbacks.update(entry)
    experiment.cfg.callbacks.updates.every_n_steps = 3
    run = train(experiment)
    rows = read(run)
    assert {int(row["step"]) for row in rows} == {0, 3, 6}
    assert len({row["layer"] for row in rows}) == 21 + 1 + 1
    assert sum(bool(row["equilibrium"]) for row in rows) == 3 * 21
    assert (run / "updates.png").is_file()
