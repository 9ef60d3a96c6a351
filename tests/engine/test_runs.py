"""Whole short runs: repeatable, resumable, safe to load, honest about failure."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.config.build import build
from src.config.cli import RunFailed
from src.models.whitening import patch_filters
from src.runs.curves import read_metrics
from src.runs.summary import read_summary

Run = Callable[..., Path]
SHORT = [
    "model.width=8",
    "model.strides=[2,2,2,2]",
    "data.batch_size=64",
    "trainer.max_epochs=2",
    "trainer.log_every_n_steps=2",
]


def weights(run_dir: Path, name: str = "last") -> dict[str, torch.Tensor]:
    checkpoint = torch.load(run_dir / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return {key: value for key, value in checkpoint["state_dict"].items() if key.startswith("net.")}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def hyper(run_dir: Path) -> dict[str, Any]:
    checkpoint = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    config: dict[str, Any] = checkpoint["hyper_parameters"]
    return config


def lr_curve(run_dir: Path) -> list[tuple[str, str]]:
    """(step, learning rate) as metrics.csv has them."""
    with (run_dir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    (column,) = {key for key in rows[0] if key.startswith("lr-") and not key.endswith("-momentum")}
    return [(row["step"], row[column]) for row in rows if row[column]]


@pytest.fixture
def cifar(run_tiny: Run, fake_cifar: Path) -> Run:
    data = ["data.num_train=400", "data.num_val=40", f"data.root='{fake_cifar}'"]

    def run(*overrides: str) -> Path:
        resnet = not any(override.startswith("model=") for override in overrides)
        return run_tiny(*(o for o in SHORT if resnet or "strides" not in o), *data, *overrides)

    return run


@pytest.mark.slow
def test_same_seed_is_bit_identical_for_any_workers_and_other_seeds_differ(cifar: Run) -> None:
    want = weights(cifar("seed=0"))
    assert same(want, weights(cifar("seed=0")))
    for _ in range(2):
        assert same(want, weights(cifar("seed=0", "data.num_workers=2")))
    assert not same(want, weights(cifar("seed=1")))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "scheduler"), [("sgd", "onecycle"), ("adamw", "plateau"), ("lion", "multistep")]
)
def test_resume_goes_on_exactly(optimizer: str, scheduler: str, cifar: Run) -> None:
    variant = [f"optimizer={optimizer}", f"scheduler={scheduler}", "trainer.max_epochs=4"]
    whole = cifar(*variant)
    stop = "+callbacks.stop={_target_: tests.engine.stop.StopAfter, num_epochs: 2}"
    half = cifar(*variant, stop)
    assert read_summary(half)["epochs"] == 2
    rest = cifar(*variant, f"ckpt_path='{half}/checkpoints/last.ckpt'", "+callbacks.stop=null")
    assert same(weights(whole), weights(rest))
    assert same(weights(whole, "best"), weights(rest, "best"))
    facts, want = read_summary(rest), read_summary(whole)
    for key in ("epochs", "best_epoch", "val/acc", "val/loss", "test/acc", "test/loss"):
        assert facts[key] == want[key], key
    assert facts["train_seconds"] > read_summary(half)["train_seconds"]
    rates = lr_curve(rest)
    assert len(rates) > 3
    assert rates == lr_curve(whole)[-len(rates) :]


def test_run_folder_holds_what_is_promised(cifar: Run) -> None:
    run_dir = cifar("norm=ln")
    names = {path.name for path in run_dir.iterdir()}
    wanted = {
        ".hydra",
        "checkpoints",
        "metrics.csv",
        "train.log",
        "summary.json",
        "curves.png",
        "samples.png",
    }
    assert wanted <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    facts = json.loads((run_dir / "summary.json").read_text())
    assert facts["status"] == "completed"
    assert facts["num_params"] == 176_482
    assert facts["seed"] == 0
    assert facts["command"].startswith("python -m src.train data.batch_size=8")
    assert "norm=ln" in facts["overrides"]
    wanted_keys = "test/acc test/loss val/acc val/loss epochs macs train_seconds images_per_second git_commit"
    assert set(wanted_keys.split()) <= set(facts)
    assert {"git_dirty", "versions", "device"} <= set(facts)
    assert facts["test/acc"] * 100 == pytest.approx(round(facts["test/acc"] * 100))  # 100 test images
    log = (run_dir / "train.log").read_text()
    assert "epoch 2/2  train " in log
    assert "img/s" in log
    assert "176,482" in log


def test_curves_are_the_same_in_csv_and_tensorboard(cifar: Run) -> None:
    run_dir = cifar()
    events = EventAccumulator(str(run_dir))
    events.Reload()
    with (run_dir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for key in ("train/loss", "train/acc", "val/loss", "val/acc", "test/acc"):
        want = [(int(row["step"]), float(row[key])) for row in rows if row.get(key)]
        got = [(event.step, event.value) for event in events.Scalars(key)]
        assert [step for step, _ in got] == [step for step, _ in want]
        assert [value for _, value in got] == pytest.approx([value for _, value in want], rel=1e-6)
        assert len(want) == (1 if key == "test/acc" else 2)
    assert events.Images("train/images")[0].width == 8 * (96 + 4) + 4


@pytest.mark.slow
def test_checkpoints_hold_plain_values_only(cifar: Run) -> None:
    run_dir = cifar("norm=gn")
    checkpoint: dict[str, Any] = torch.load(run_dir / "checkpoints" / "best.ckpt", weights_only=True)
    config = checkpoint["hyper_parameters"]
    assert config["norm"] == {"_target_": "src.models.norms.group_norm", "_partial_": True, "num_groups": 8}
    assert json.loads(json.dumps(config)) == config


@pytest.mark.slow
def test_without_validation_the_last_epoch_is_final(cifar: Run) -> None:
    run_dir = cifar("data.num_val=0")
    facts = read_summary(run_dir)
    assert "val/acc" not in facts
    assert facts["status"] == "completed"
    assert not (run_dir / "checkpoints" / "best.ckpt").exists()
    assert (run_dir / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.slow
def test_the_numbers_are_those_of_the_best_weights(cifar: Run) -> None:
    run_dir = cifar(
        "trainer.max_epochs=4", "optimizer.lr=0.05", "loss.label_smoothing=0.3", "norm=ln", "seed=3"
    )
    facts = read_summary(run_dir)
    val = dict(read_metrics(run_dir / "metrics.csv")["val/acc"])
    assert facts["best_epoch"] < 4, "choose a seed whose last epoch is not the best, or this shows nothing"
    assert facts["val/acc"] == val[facts["best_epoch"]] == max(val.values())
    config = torch.load(run_dir / "checkpoints" / "best.ckpt", weights_only=True)["hyper_parameters"]
    net = build(OmegaConf.create(config["model"])).eval()
    net.load_state_dict({key.removeprefix("net."): value for key, value in weights(run_dir, "best").items()})
    datamodule = build(OmegaConf.create(config["data"]))
    datamodule.setup()
    for stage, loader in (("val", datamodule.val_dataloader()), ("test", datamodule.test_dataloader())):
        images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
        with torch.no_grad():
            probabilities = net(images).softmax(dim=1)
        right = (probabilities.argmax(dim=1) == labels).double().mean().item()
        surprise = -probabilities[torch.arange(len(labels)), labels].log().mean().item()
        assert facts[f"{stage}/acc"] == pytest.approx(right)
        assert facts[f"{stage}/loss"] == pytest.approx(surprise, rel=1e-4)


@pytest.mark.slow
def test_tta_is_reported_apart(cifar: Run) -> None:
    facts = read_summary(cifar("tta=flip"))
    assert {"test/acc", "test/acc_tta"} <= set(facts)


@pytest.mark.slow
def test_a_whitened_stem_is_computed_from_the_training_images_and_stays(cifar: Run) -> None:
    run_dir = cifar("model=speednet", "model.width=8", "optimizer.lr=0.05")
    datamodule = build(OmegaConf.create(hyper(run_dir)["data"]))
    datamodule.setup()
    filters = patch_filters(datamodule.train_inputs(5000), 2)
    for name in ("best", "last"):
        torch.testing.assert_close(weights(run_dir, name)["net.stem.conv.weight"][:12], filters)
        assert weights(run_dir, name)["net.stem.conv.bias"].any()


@pytest.mark.slow
def test_compute_is_counted_at_the_size_that_trained(cifar: Run) -> None:
    # 360 images an epoch; half of two epochs at 16 pixels, where every convolution costs a quarter
    facts = read_summary(cifar("resize=progressive", "resize.stages=[[16,0.5]]"))
    full, quarter = facts["macs"], facts["macs"] / 4
    assert facts["pflop"] == pytest.approx(6 * 360 * (full + quarter) / 1e15, rel=1e-3)
    half = read_summary(cifar("select=hardest", "select.fraction=0.5"))
    # 5 batches of 64 and one of 40: 3 passes of half of them, and one of all
    assert half["pflop"] == pytest.approx(2 * 2 * (360 + 3 * 180) * full / 1e15)


@pytest.mark.slow
def test_early_stopping_ends_a_run(cifar: Run) -> None:
    patience = ["callbacks=early_stopping", "callbacks.early_stopping.patience=1", "optimizer.lr=1e-9"]
    facts = read_summary(cifar(*patience, "trainer.max_epochs=9", "norm=ln"))
    assert facts["epochs"] < 9


def test_failure_is_one_line_in_log_and_summary(cifar: Run, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="not there; data.download is false"):
        cifar("data.root=/no/where", "data.download=false")
    (run_dir,) = (tmp_path / "outputs" / "train" / "runs").iterdir()
    facts = read_summary(run_dir)
    assert facts["status"].startswith("failed: CIFAR10 in ")
    assert "\n" not in facts["status"]
    assert (run_dir / "traceback.txt").read_text().startswith("Traceback")
