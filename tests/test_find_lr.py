"""The range test as a command, on handwritten digits."""

import csv
import math
import re
import subprocess
import sys
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import (
    STORE_EVERYTHING_SIZE_GUIDANCE,
    EventAccumulator,
)
from torch.nn import functional as F

from src.config.build import build
from src.find_lr import command as find_lr
from src.find_lr.measure import Sweep, conclude
from src.find_lr.range_test import learning_rates
from src.notebook import compose
from src.optim.param_groups import l1_norm

TINY = ["data=digits", "model.width=8", "model.strides=[2,2,2,2]", "trainer=cpu"]


def rows(out: Path) -> list[dict[str, float]]:
    with (out / "find_lr.csv").open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["bn", "ln"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_rate_a_picture_and_the_command_to_use_it(
    optimizer: str, norm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [*TINY, f"optimizer={optimizer}", f"norm={norm}"]
    assert find_lr.main([*overrides, "optimizer.lr=0.5", "steps=150"]) == 0
    said = capsys.readouterr().out
    (used,) = re.findall(r"^use: optimizer.lr=(\S+)$", said, re.MULTILINE)
    (typed,) = re.findall(r"^ +python -m src.train (.*)$", said, re.MULTILINE)
    assert typed.replace("'", "").split() == [*overrides, f"optimizer.lr={used}"]
    assert compose(*overrides, f"optimizer.lr={used}").cfg.optimizer.lr == float(used)
    assert 1e-3 < float(used) < (4 if optimizer == "sgd" else 0.5)  # where it diverges

    (out,) = (tmp_path / "outputs" / "find_lr" / "runs").iterdir()
    assert out.name.endswith(
        f"_data=digits,width=8,strides=2,2,2,2,trainer=cpu,optimizer={optimizer},norm={norm},lr=0.5"
    )
    curve = rows(out)
    assert [row["step"] for row in curve] == list(range(len(curve)))
    assert curve[0]["lr"] == pytest.approx(1e-6)
    assert curve[1]["lr"] / curve[0]["lr"] == pytest.approx(1e7 ** (1 / 149))
    assert any(row["lr"] == pytest.approx(float(used), rel=5e-3) for row in curve)
    assert abs(curve[0]["loss"] - math.log(10)) < 1
    with Image.open(out / "find_lr.png") as picture:
        size = picture.size
    board = EventAccumulator(str(out), size_guidance=STORE_EVERYTHING_SIZE_GUIDANCE).Reload()
    for key in ("lr", "loss", "loss_smoothed"):
        assert [(e.step, e.value) for e in board.Scalars(f"find_lr/{key}")] == [
            (row["step"], pytest.approx(row[key], rel=1e-6)) for row in curve
        ]
    (image,) = board.Images("find_lr/range_test")
    assert (image.width, image.height) == size


@pytest.mark.slow
def test_quiet_prints_the_override_alone_and_the_same_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    args = [*TINY, "steps=60", "low=1e-4", "high=1", "mode=linear", "--quiet"]
    assert find_lr.main([*args, f"out={tmp_path / 'a'}"]) == 0
    first = capfd.readouterr()
    assert re.fullmatch(r"optimizer\.lr=\S+\n", first.out)
    assert first.err == ""
    assert find_lr.main([*args, f"out={tmp_path / 'b'}"]) == 0
    assert capfd.readouterr().out == first.out
    lrs = [row["lr"] for row in rows(tmp_path / "a")]
    np.testing.assert_allclose(np.diff(lrs), (1 - 1e-4) / 59)
    assert rows(tmp_path / "a") == rows(tmp_path / "b")


@pytest.mark.slow
def test_a_loss_that_never_falls_and_clipping(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # Gradients clipped to nothing: the network stands still
    out = tmp_path / "out"
    still = ["trainer.gradient_clip_val=1e-12", "optimizer.weight_decay=0.0", "optimizer.momentum=0.0"]
    assert find_lr.main([*TINY, *still, "steps=150", f"out={out}", "--quiet"]) == 1
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err == (
        "error: the loss never falls by more than its noise from low=1e-06 to high=10: try other bounds "
        f"or more steps (picture: {out / 'find_lr.png'}).\n"
    )
    assert (out / "find_lr.png").is_file()
    assert len(rows(out)) == 150


def test_the_loss_is_what_training_minimizes(tmp_path: Path) -> None:
    for name, more in {"plain": [], "l1": ["module.l1=0.01"], "smooth": ["loss.label_smoothing=0.5"]}.items():
        find_lr.main([*TINY, *more, "steps=20", f"out={tmp_path / name}", "--quiet"])
    plain, l1, smooth = (rows(tmp_path / name)[0]["loss"] for name in ("plain", "l1", "smooth"))
    L.seed_everything(0, verbose=False)
    net = build(compose(*TINY).cfg.model)
    assert l1 - plain == pytest.approx(0.01 * l1_norm(net.parameters()).item(), rel=1e-4)
    assert smooth != pytest.approx(plain, rel=1e-4)


@pytest.mark.slow
def test_a_rate_that_still_gains_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert find_lr.main([*TINY, "steps=100", "high=0.02", "low=1e-5", f"out={tmp_path / 'out'}"]) == 0
    assert "the loss still falls at high=0.02: raise high." in capsys.readouterr().out


def test_the_validation_loss_is_that_of_validation_images(tmp_path: Path) -> None:
    out = tmp_path / "out"
    how = ["loss.label_smoothing=0.5", "module.l1=0.01", "steps=30", "validate=1000", f"out={out}", "--quiet"]
    find_lr.main([*TINY, *how])
    cfg = compose(*TINY).cfg
    L.seed_everything(0, verbose=False)
    data, net = build(cfg.data), build(cfg.model).eval()
    data.setup("fit")
    labels = torch.as_tensor(data.val_data.labels[data.val_indices])
    want = F.cross_entropy(net(data.eval_inputs("val", data.val_indices)), labels)
    assert rows(out)[0]["loss"] == pytest.approx(want.item(), rel=1e-4)  # plain, of all 180 images
    assert find_lr.main([*TINY, "data.num_val=0", "validate=10", f"out={tmp_path / 'none'}"]) == 1
    assert "there are no validation images" in (tmp_path / "none" / "traceback.txt").read_text()


def test_what_is_skipped_is_in_the_file_but_chooses_nothing(tmp_path: Path) -> None:
    # Lowest at rate 0.15, and a second time at 0.6; 0.3 to 0.5 alone falls to its end
    lrs = learning_rates(0.0, 1.0, 100, "linear")
    losses = 2.3 - np.exp(-(((lrs - 0.15) / 0.08) ** 2)) - 0.8 * np.exp(-(((lrs - 0.6) / 0.08) ** 2))
    own = find_lr.OWN | {"low": "1e-9", "high": "1", "steps": "100", "mode": "linear"}
    sweep = Sweep(**find_lr.sweep_of(own))
    for skip_start, skip_end, rate in ((0, 0, 0.15), (30, 0, 0.6), (30, 50, 0.5)):
        one = sweep._replace(skip_start=skip_start, skip_end=skip_end)
        found = conclude(lrs, losses, one, tmp_path, loss="training")
        assert found is not None
        assert found.minimum == pytest.approx(rate, abs=0.05)
        assert len(rows(tmp_path)) == 100


def test_what_the_test_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = [*TINY, "data.num_classes=7", f"out={tmp_path / 'out'}"]
    assert find_lr.main(args) == 1
    assert capsys.readouterr().out.startswith("error: data.num_classes=7, but the training data has 10")
    assert (tmp_path / "out" / "traceback.txt").is_file()


def test_arguments_that_cannot_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = {
        "low and high must be 0 < low < high: got low=1 high=0.1.": ["low=1", "high=0.1"],
        "low and high must be 0 < low < high: got low=0 high=10.": ["low=0"],
        "low must be a number: got abc. Default: 1e-6.": ["low=abc"],
        "steps must be a whole number from 20: got 19.": ["steps=19"],
        "steps must be a whole number from 20: got 30.5.": ["steps=30.5"],
        "mode must be exponential or linear: got cosine.": ["mode=cosine"],
        "smoothing must be above 0 and at most 0.5: got 0.98.": ["smoothing=0.98"],
        "smoothing must be above 0 and at most 0.5: got nan.": ["smoothing=nan"],
        "stop must be above 1: got 1.": ["stop=1"],
        "validate must be a number of images, 0 or more: got -1.": ["validate=-1"],
        "skip_start and skip_end must be 0 or more and leave 20 of 30 steps: got skip_start=8 skip_end=3.": [
            *("steps=30", "skip_start=8", "skip_end=3")
        ],
        "step does not exist. Did you mean steps?": ["step=30"],
        "cannot read '--steps=30': arguments are written key=value. Did you mean steps?": ["--steps=30"],
        "ckpt_path plays no part: the test starts from fresh weights. Leave it out.": ["ckpt_path=x"],
        "norm=lnn does not exist. Did you mean norm=ln? Valid: bn, gn, in, ln, ln2d, none.": ["norm=lnn"],
        "data.batch_size must be 1 or more: got 0.": ["data.batch_size=0"],
    }
    for words, args in lines.items():
        with pytest.raises(SystemExit) as stopped:
            find_lr.main(args)
        assert stopped.value.code == 2
        assert capsys.readouterr().err == f"error: {words}\n"
    with pytest.raises(SystemExit):
        find_lr.main(["epochs=3"])
    assert "epochs does not exist. Did you mean trainer.max_epochs?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        find_lr.main(["norm=bn,ln"])
    assert capsys.readouterr().err.startswith("error: norm=bn,ln asks for several runs")
    assert not (tmp_path / "outputs").exists(), "nothing was begun"


def test_arguments_are_refused_before_torch_is_imported() -> None:
    code = (
        "import sys; from src.find_lr import command as find_lr\n"
        "try: find_lr.main(['norm=lnn'])\n"
        "except SystemExit: print([m for m in ('torch', 'lightning', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_help_names_every_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert find_lr.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(re.search(rf"(^  | ){key}=", said) for key in find_lr.OWN)
    assert all(f"{key}={value}" in said for key, value in find_lr.OWN.items())
    assert "--quiet" in said
