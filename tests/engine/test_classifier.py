"""One step of training against numbers by hand."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers.logger import Logger
from torch import Tensor, nn

from src.data.resolution import Resolution
from src.engine.classifier import Classifier
from src.engine.quiet import quiet
from src.optim.schedule import Schedule


class Scale(nn.Module):
    """logits = (w * x, 0): one weight, so that gradients fit on a napkin."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[weight]]))

    def forward(self, x: Tensor) -> Tensor:
        scores = x.flatten(1)[:, :1] @ self.weight
        return torch.cat([scores, torch.zeros_like(scores)], dim=1)


def constant(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def classifier(net: nn.Module, **kwargs: Any) -> Classifier:
    return Classifier(
        net=net,
        optimizer=lambda groups: torch.optim.SGD(groups, lr=1.0),
        schedule=Schedule(factory=constant, interval="epoch"),
        loss=kwargs.pop("loss", nn.CrossEntropyLoss()),
        **kwargs,
    )


def step(
    module: Classifier, images: Tensor, labels: Tensor, tmp_path: Path, **kwargs: Any
) -> dict[str, float]:
    """Train one batch; returns the metrics."""
    quiet()
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(images, labels), batch_size=len(labels), num_workers=0
    )
    silent = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        limit_val_batches=0,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        **silent,
        **kwargs,
    )
    trainer.fit(module, loader, loader)
    return {key: float(value) for key, value in trainer.callback_metrics.items()}


ONE = torch.full((1, 1, 1, 1), 2.0)
LABEL = torch.tensor([1])


def test_gradient_step_by_hand(tmp_path: Path) -> None:
    # w = 0, x = 2, true class 1: p = (1/2, 1/2), loss log 2, gradient p0 * x = 1; lr 1: w = -1
    net = Scale(0.0)
    metrics = step(classifier(net), ONE, LABEL, tmp_path)
    assert net.weight.item() == pytest.approx(-1.0)
    assert metrics["train/loss"] == pytest.approx(0.693147, abs=1e-6)


@pytest.mark.parametrize(("value", "algorithm", "want"), [(0.1, "value", -0.1), (0.25, "norm", -0.25)])
def test_clips_by_hand(value: float, algorithm: str, want: float, tmp_path: Path) -> None:
    net = Scale(0.0)
    step(classifier(net), ONE, LABEL, tmp_path, gradient_clip_val=value, gradient_clip_algorithm=algorithm)
    assert net.weight.item() == pytest.approx(want)


def test_value_and_norm_clip_two_gradients_apart(tmp_path: Path) -> None:
    # logits w_k * x_k for two classes: gradients (p0 x0, (p1 - 1) x1) = (3, -4) for x = (6, 8), p = 1/2
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(2))

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1) * self.weight

    image = torch.tensor([6.0, 8.0]).view(1, 2, 1, 1)
    for algorithm, want in (("value", [-1.0, 1.0]), ("norm", [-0.6, 0.8])):
        net = Pair()
        step(
            classifier(net), image, LABEL, tmp_path, gradient_clip_val=1.0, gradient_clip_algorithm=algorithm
        )
        torch.testing.assert_close(net.weight.data, torch.tensor(want))


def test_l1_adds_its_value_and_its_sign(tmp_path: Path) -> None:
    # w = 3, x = 0: cross-entropy log 2 without a gradient; l1 0.1: loss + 0.3, gradient 0.1
    net = Scale(3.0)
    metrics = step(classifier(net, l1=0.1), torch.zeros(1, 1, 1, 1), LABEL, tmp_path)
    assert metrics["train/loss"] == pytest.approx(0.693147 + 0.3, abs=1e-6)
    assert net.weight.item() == pytest.approx(3.0 - 0.1)


def test_label_smoothing_is_in_the_training_loss_only(tmp_path: Path) -> None:
    # logits (2, 0), true class 1: -log p = (log(1 + e^-2), log(1 + e^2)) = (0.126928, 2.126928)
    module = classifier(Scale(1.0), loss=nn.CrossEntropyLoss(label_smoothing=0.2))
    metrics = step(module, ONE, LABEL, tmp_path)
    assert metrics["train/loss"] == pytest.approx(0.1 * 0.126928 + 0.9 * 2.126928, abs=1e-5)
    module = classifier(Scale(1.0), loss=nn.CrossEntropyLoss(label_smoothing=0.2))
    module.val_metrics.update(nn.functional.cross_entropy(module(ONE), LABEL), module(ONE), LABEL)
    assert float(module.val_metrics.loss.compute()) == pytest.approx(2.126928, abs=1e-5)


def test_metrics_weigh_images_not_batches() -> None:
    module = classifier(Scale(0.0))
    logits = torch.tensor([[1.0, 0.0]])
    module.val_metrics.update(torch.tensor(1.0), logits.expand(3, 2), torch.tensor([0, 0, 1]))
    module.val_metrics.update(torch.tensor(5.0), logits, torch.tensor([1]))
    assert float(module.val_metrics.loss.compute()) == pytest.approx(2.0)
    assert float(module.val_metrics.acc.compute()) == pytest.approx(0.5)


def test_channels_last_reaches_weights_and_changes_no_result() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images = torch.randn(2, 3, 8, 8)
    want = net(images)
    module = classifier(net, channels_last=True)
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(module(images), want)


def test_lessons_are_sized_selected_and_counted(tmp_path: Path) -> None:
    # Six images in one batch, four steps (overfitting it): half of them at 8 pixels, the rest at 16; of each
    # batch the hardest third is learned from. Passes: 4 steps, 6 images looked at, 2 learned from at 3 each.
    sizes: list[tuple[int, ...]] = []

    class Watched(Scale):
        def forward(self, x: Tensor) -> Tensor:
            sizes.append((len(x), x.shape[-1]))
            return super().forward(x)

    def select(forward: Any, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        forward(images)
        return images[4:], labels[4:]

    module = classifier(Watched(0.0), resize=Resolution([(8, 0.5)]), select=select)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.ones(24, 1, 16, 16), torch.zeros(24, dtype=torch.int64)),
        batch_size=6,
    )
    quiet()
    silent = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        limit_val_batches=0,
        **silent,
    ).fit(module, loader, loader)
    assert sizes == 2 * [(6, 8), (2, 8)] + 2 * [(6, 16), (2, 16)]
    assert module.passes == {8: 2 * (6 + 3 * 2), 16: 2 * (6 + 3 * 2)}


class Notes(Logger):
    """What Lightning writes to a logger."""

    name = version = "notes"

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass


def fit(module: Classifier, xs: list[float], labels: list[int], tmp_path: Path, **kwargs: Any) -> L.Trainer:
    """Two epochs in batches of two; the same images validate, in batches of three."""
    quiet()
    data = torch.utils.data.TensorDataset(torch.tensor(xs).view(-1, 1, 1, 1), torch.tensor(labels))
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        **kwargs,
    )
    train, val = (torch.utils.data.DataLoader(data, batch_size=size) for size in (2, 3))
    trainer.fit(module, train, val)
    return trainer


def test_an_epochs_metrics_are_those_of_its_images_whatever_the_batches(tmp_path: Path) -> None:
    # w = 1, never moved: logits (x, 0). Predicted 0 where x > 0; right: images 0, 3, 4 of five
    xs, labels = [1.0, 2.0, -1.0, -3.0, 0.5], [0, 1, 0, 1, 0]
    margins = torch.tensor([1.0, -2.0, -1.0, 3.0, 0.5])  # log(1 + e^-margin) is an image's loss
    module = classifier(Scale(1.0))
    module.net.weight.requires_grad_(False)
    module.net.register_parameter("unused", nn.Parameter(torch.zeros(1)))
    module.loss = TowardsNothing(module.net.unused)
    metrics = fit(module, xs, labels, tmp_path, logger=False).callback_metrics
    loss = float(nn.functional.softplus(-margins).mean())
    for stage in ("train", "val"):  # of the second epoch: the first has left nothing behind
        assert float(metrics[f"{stage}/acc"]) == pytest.approx(3 / 5)
        assert float(metrics[f"{stage}/loss"]) == pytest.approx(loss, abs=1e-6)


class TowardsNothing(nn.Module):
    """Cross-entropy, and a parameter without a part in it, so that there is something to train."""

    def __init__(self, parameter: nn.Parameter) -> None:
        super().__init__()
        self.parameter = parameter

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, labels) + 0.0 * self.parameter.sum()


def test_a_loss_that_is_no_number_stays_none() -> None:
    module = classifier(Scale(0.0))
    for loss in (1.0, float("nan"), 1.0):
        module.val_metrics.update(torch.tensor(loss), torch.zeros(2, 2), torch.tensor([0, 1]))
    assert float(module.val_metrics.loss.compute()) != float(module.val_metrics.loss.compute())


@pytest.mark.parametrize("accumulate", [1, 2])
def test_loss_step_is_that_of_the_batch_that_is_logged(accumulate: int, tmp_path: Path) -> None:
    notes, losses = Notes(), []
    module = classifier(Scale(0.0), loss=Recording(losses))
    fit(
        module,
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
        [0, 1, 1, 0, 1, 0, 0, 1],
        tmp_path,
        logger=notes,
        log_every_n_steps=2,
        accumulate_grad_batches=accumulate,
    )
    found = {step: row["train/loss_step"] for step, row in notes.rows if "train/loss_step" in row}
    # Steps 1, 3, 5, 7 of eight; of four with two batches each: 1 and 3, each at its second batch
    steps = range(1, 8 // accumulate, 2)
    assert found == {step: pytest.approx(losses[(step + 1) * accumulate - 1]) for step in steps}


class Recording(nn.Module):
    def __init__(self, losses: list[float]) -> None:
        super().__init__()
        self.losses = losses

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(logits, labels)
        self.losses.append(loss.item())
        return loss
