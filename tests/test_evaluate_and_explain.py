"""The commands on finished runs, as people call them; and runs that one should not trust."""

import csv
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image, ImageDraw

from src import evaluate
from src.attribution.grad_cam import captum_grad_cam
from src.attribution.maps import heat, heat_overlay
from src.config.finished import known_targets, targets
from src.config.resolvers import CONF_DIR
from src.data.digits import digits
from src.data.pictures import SIDE
from src.drawing.sheet import FONT_SIZE, GAP, tile
from src.engine.weights import load_checkpoint
from src.explain import command as explain
from src.models.resnet import ResNet
from src.runs.checkpoint_file import SUMS
from src.runs.summary import read_summary

TINY = ["data=digits", "model.width=8", "model.strides=[2,2,2,2]", "trainer.max_epochs=4", "optimizer.lr=0.1"]
TINY += ["data.batch_size=32", "callbacks=training"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that knows most digits."""
    from src.notebook import compose, train

    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTPUT_DIR", str(root))
        return train(compose("data.num_workers=0", "trainer.accelerator=cpu", "tta=flip", *TINY))


@pytest.fixture
def run_dir(finished: Path, tmp_path: Path) -> Path:
    """A copy of it with commas, equals signs and a blank in its name, that a test may damage."""
    copy = tmp_path / "a run,norm=bn,lr=0.1"
    shutil.copytree(finished, copy)
    return copy


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def refused(main: Callable[[list[str]], int], *args: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says when it refuses its arguments."""
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_evaluate_finds_what_the_run_found(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main([f"run={run_dir}", "callbacks.misclassified.num_images=4"]) == 0
    (out,) = (run_dir / "evaluate").iterdir()
    assert out.name == "best_num_images=4"
    facts, before = read_summary(out), read_summary(run_dir)
    assert facts["status"] == "completed"
    assert facts["test/acc"] == before["test/acc"] > 0.5
    assert facts["test/acc_tta"] == before["test/acc_tta"] > 0.5
    assert facts["test/loss"] == pytest.approx(before["test/loss"], rel=1e-6)
    said = rows(out / "predictions.csv")
    assert len(said) == 360
    assert sum(r["label"] == r["prediction"] for r in said) == round(facts["test/acc"] * 360)
    for name in ("misclassified", "grad_cam", "evidence", "confusion", "per_class", "reliability"):
        assert (out / f"{name}.png").is_file()
    assert "test accuracy" in capsys.readouterr().out


def test_last_weights_are_others_and_a_second_evaluation_overwrites_nothing(run_dir: Path) -> None:
    assert evaluate.main([f"run={run_dir}", "ckpt=last", "callbacks=none", "logger=none"]) == 0
    assert evaluate.main([f"run={run_dir}", "ckpt=last", "callbacks=none", "logger=none"]) == 0
    names = sorted(path.name for path in (run_dir / "evaluate").iterdir())
    assert names == ["last_callbacks=none,logger=none", "last_callbacks=none,logger=none-2"]


def test_evaluate_on_another_dataset_with_the_same_classes(run_dir: Path, tmp_path: Path) -> None:
    root, shade = tmp_path / "own digits", {}
    for split in ("train", "test"):
        for name in "0123456789":
            (root / split / name).mkdir(parents=True)
            shade[name] = Image.new("L", (32, 32), 20 * int(name))
            shade[name].save(root / split / name / "a.png")
    out = tmp_path / "out"
    args = ["data=image_folder", f"data.root='{root}'", "data.image_size=32", "data.num_val=0"]
    assert evaluate.main([f"run={run_dir}", f"out={out}", *args, "data.num_workers=0"]) == 0
    said = rows(out / "predictions.csv")
    assert [int(r["label"]) for r in said] == list(range(10))
    # By hand: the training digits' mean and deviation normalize, not the ten grey pictures'
    checkpoint = load_checkpoint(run_dir / "checkpoints" / "best.ckpt")
    facts = checkpoint["ImageDataModule"]
    net = ResNet(10, width=8, strides=[2, 2, 2, 2]).eval()
    net.load_state_dict(
        {k.removeprefix("net."): v for k, v in checkpoint["state_dict"].items() if k[:4] == "net."}
    )
    pixels = torch.tensor([20 * k / 255 for k in range(10)]).view(10, 1, 1, 1).expand(10, 3, 32, 32)
    mean, std = (torch.tensor(facts[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    probs = net((pixels - mean) / std).softmax(1)
    assert [int(r["prediction"]) for r in said] == probs.argmax(1).tolist()
    assert [float(r["confidence"]) for r in said] == pytest.approx(probs.amax(1).tolist(), rel=1e-4)


def test_other_classes_are_refused(
    run_dir: Path, fake_cifar: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["data=cifar10", f"data.root='{fake_cifar}'", "data.num_train=400", "data.num_val=40"]
    assert evaluate.main([f"run={run_dir}", *args]) == 1
    said = capsys.readouterr().out
    assert "error: the checkpoint knows the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9; the data has class0" in said
    (out,) = (run_dir / "evaluate").iterdir()
    assert read_summary(out)["status"].startswith("failed: the checkpoint knows the classes")


def test_arguments_that_cannot_work(
    run_dir: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = f"run={run_dir}"
    lines = {
        "run must be given: add run=<value> to the command; --help shows how.": ["data=digits"],
        "is no run's folder: it has no .hydra/config.yaml": [f"run={tmp_path}", "ckpt=best"],
        "ckpt must be best or last: got first.": [run, "ckpt=first"],
        "cannot read '--ckpt=last': arguments are written key=value. Did you mean ckpt?": [
            run,
            "--ckpt=last",
        ],
        "data=cifar11 does not exist. Did you mean data=cifar10?": [run, "data=cifar11"],
        "data.batch_sizes does not exist. Did you mean data.batch_size?": [run, "data.batch_sizes=3"],
        "data.batch_size must be 1 or more: got 0.": [run, "data.batch_size=0"],
        "norm=bn,ln asks for several values: give one.": [run, "norm=bn,ln"],
    }
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").touch()
    for words, args in lines.items():
        assert words in refused(evaluate.main, *args, capsys=capsys)
    assert not (run_dir / "evaluate").exists(), "nothing was begun"
    assert "images must be given" in refused(explain.main, run, capsys=capsys)
    assert "images=holiday: no pictures there" not in refused(explain.main, "images=1", capsys=capsys)
    (tmp_path / "holiday").mkdir()
    said = refused(explain.main, run, f"images={tmp_path / 'holiday'}", capsys=capsys)
    assert said.endswith("holiday: no pictures there.")


def test_weights_of_another_network_are_refused(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main([f"run={run_dir}", "model.width=16"]) == 1
    assert "does not fit this ResNet: " in (said := capsys.readouterr().out)
    assert "(other shape). Leave out overrides of model=, norm= and data.num_classes." in said
    assert evaluate.main([f"run={run_dir}", "norm=ln"]) == 1
    assert "(not expected). Leave out overrides" in capsys.readouterr().out


def test_explain_any_picture(run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "my pictures ü" / "7"
    folder.mkdir(parents=True)
    seven = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    ImageDraw.Draw(seven).text((120, 20), "7", fill=(0, 0, 0, 255), font_size=150)
    seven.save(folder / "alpha.png")
    Image.new("L", (20, 90), 128).save(folder / "grey.png")
    Image.new("P", (64, 64)).save(folder / "palette.gif")
    deep = np.zeros((40, 50), np.uint16)
    deep[10:30, 20:30] = 60_000
    Image.fromarray(deep).save(folder / "deep.png")
    Image.new("CMYK", (33, 65)).save(folder / "print.jpg")
    (folder / "broken.png").write_bytes(b"not a picture")
    Image.new("RGB", (50, 50)).save(folder / "cut.png")
    (folder / "cut.png").write_bytes((folder / "cut.png").read_bytes()[:60])
    out = tmp_path / "out"

    code = explain.main([f"run={run_dir}", f"images={folder.parent}", "target=true", f"out={out}"])

    assert code == 1, "two pictures were left out"
    said = capsys.readouterr().out
    assert [line.split(" cannot")[0][-10:] for line in said.splitlines() if "left out" in line] == [
        "broken.png",
        "/7/cut.png",
    ]
    found = rows(out / "explanations.csv")
    assert [row["picture"] for row in found] == ["alpha", "deep", "grey", "palette", "print"]
    assert {row["actual"] for row in found} == {row["target"] for row in found} == {"7"}
    for row in found:
        with Image.open(out / row["sheet"]) as sheet:
            assert sheet.width > 1000
        assert row["picture"] in said
        assert float(row["confidence"]) >= float(row["second_confidence"])


@pytest.mark.slow
def test_explain_test_images_layers_and_classes(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["images=3,14", "layers=stage2.block1,stage3", "target=5"]
    assert explain.main([f"run={run_dir}", *args]) == 0
    (out,) = (run_dir / "explain").iterdir()
    found = rows(out / "explanations.csv")
    assert [row["picture"] for row in found] == ["test_3", "test_14"]
    assert {row["target"] for row in found} == {"5"}
    # What the run itself said of these images
    assert evaluate.main([f"run={run_dir}", "logger=none"]) == 0
    said = rows(run_dir / "evaluate" / "best_logger=none" / "predictions.csv")
    for row, index in zip(found, (3, 14), strict=True):
        assert (row["predicted"], row["actual"]) == (
            said[index]["prediction_name"],
            said[index]["label_name"],
        )
        assert float(row["confidence"]) == pytest.approx(float(said[index]["confidence"]), rel=1e-4)
    capsys.readouterr()
    for wrong, words in {
        "images=360": "error: images=360: the test set has 360 images, 0 to 359.",
        "target=dog": "error: target=dog is no class: valid are predicted, true, 0, 1,",
        "layers=stage7": "error: ResNet has no layer 'stage7'. Did you mean stage",
    }.items():
        key = wrong.partition("=")[0]
        rest = [arg for arg in args if not arg.startswith(key)]
        assert explain.main([f"run={run_dir}", *rest, wrong]) == 1
        assert words in capsys.readouterr().out


def test_a_sheet_shows_the_maps_of_the_predicted_class_and_of_the_target(run_dir: Path) -> None:
    assert explain.main([f"run={run_dir}", "images=3", "layers=stage3", "target=5"]) == 0
    (out,) = (run_dir / "explain").iterdir()
    (row,) = rows(out / "explanations.csv")
    assert row["predicted"] != "5"
    checkpoint = load_checkpoint(run_dir / "checkpoints" / "best.ckpt")
    facts, net = checkpoint["ImageDataModule"], ResNet(10, width=8, strides=[2, 2, 2, 2]).eval()
    net.load_state_dict({k[4:]: v for k, v in checkpoint["state_dict"].items() if k.startswith("net.")})
    pixels = digits().test.images[3]
    mean, std = (torch.tensor(facts[key]).view(3, 1, 1) for key in ("mean", "std"))
    inputs = ((torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255 - mean) / std)[None]
    large = torch.from_numpy(np.array(tile(pixels, SIDE))).permute(2, 0, 1) / 255
    with Image.open(out / row["sheet"]) as sheet:
        shown = np.asarray(sheet.convert("RGB"), dtype=float)
    row_height = SIDE + 2 * round(FONT_SIZE * 1.25) + GAP
    for n, name in enumerate((row["predicted"], "5")):
        maps = captum_grad_cam(net, inputs, torch.tensor([int(name)]), ["stage3"])["stage3"]
        assert (maps > 0).any()
        want = np.asarray(tile(heat_overlay(large, heat(maps, (SIDE, SIDE))[0, 0]), SIDE), dtype=float)
        y, x = 14 + n * row_height, 14 + SIDE + GAP
        np.testing.assert_allclose(shown[y : y + SIDE, x : x + SIDE], want, atol=2)


def test_a_picture_without_a_known_class_has_no_true_target(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "what.png")
    assert explain.main([f"run={run_dir}", f"images={tmp_path / 'what.png'}", "target=true"]) == 1
    assert "error: target=true: nobody knows the class of what." in capsys.readouterr().out


class Hostile:
    """Unpickled, it makes a file that must not appear."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.target,)  # type: ignore[return-value]


@pytest.mark.parametrize("command", [evaluate.main, explain.main])
def test_a_hostile_checkpoint_is_not_opened(
    command: Callable[[list[str]], int], run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace, path = tmp_path / "trace", run_dir / "checkpoints" / "best.ckpt"
    args = [f"run={run_dir}", *(["images=1"] if command is explain.main else [])]
    content = torch.load(path, weights_only=True)
    (path.parent / SUMS).unlink()  # a stranger's folder has none, or such that fit
    content["optimizer_states"] = [Hostile(trace)]
    torch.save(content, path)
    torch.load(path, weights_only=False)  # it is hostile indeed
    assert trace.exists()
    trace.unlink()
    assert command(args) == 1
    path.write_bytes(pickle.dumps(Hostile(trace)))
    assert command(args) == 1
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error:")]
    assert len(said) == 2
    assert all(
        "holds more than tensors and plain values, or is damaged: nothing in it was run" in x for x in said
    )
    path.write_bytes(path.read_bytes()[:5])
    assert command(args) == 1
    assert not trace.exists()


def test_a_configuration_that_calls_a_stranger_is_refused(
    run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace, path = tmp_path / "trace", run_dir / ".hydra" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    call = {"_target_": "os.system", "command": f"touch {trace}"}
    hostile = {
        "model": call,
        "norm": {"_target_": "builtins.exec", "_partial_": True, "_args_": [f"open('{trace}', 'w')"]},
        "data": config["data"] | {"source": {"a": [{"b": call}]}},
        "loss": "${oc.create:'{_target_: os.system}'}",
        "callbacks": {"x": call},
        "seed": f"${{new_folder:{trace},x}}",
    }
    for part, value in hostile.items():
        path.write_text(yaml.safe_dump(config | {part: value}))
        for command, args in ((evaluate.main, []), (explain.main, ["images=1"])):
            said = refused(command, f"run={run_dir}", *args, capsys=capsys)
            assert "nothing was run" in said
        assert not trace.exists()
    path.write_text(yaml.safe_dump(config | {"model": call}))
    assert "would call os.system, which no file in conf/ does" in refused(
        explain.main, f"run={run_dir}", "images=1", capsys=capsys
    )


def test_a_user_can_allow_a_name(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run_dir / ".hydra" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["norm"] = {"_target_": "torch.nn.modules.batchnorm.BatchNorm2d", "_partial_": True}
    path.write_text(yaml.safe_dump(config))
    said = refused(evaluate.main, f"run={run_dir}", capsys=capsys)
    assert said.endswith("If you trust the run, add allow=torch.nn.modules.batchnorm.BatchNorm2d.")
    args = ["allow=torch.nn.modules.batchnorm.BatchNorm2d", "callbacks=none", "logger=none"]
    assert evaluate.main([f"run={run_dir}", *args]) == 0


def test_the_allow_list_is_what_conf_calls() -> None:
    listed = {t for p in CONF_DIR.rglob("*.yaml") for t in targets(yaml.safe_load(p.read_text()))}
    assert known_targets() == listed
    assert {"torch.optim.SGD", "src.models.resnet.ResNet", "albumentations.RandomCrop"} <= listed
    assert not any(name.startswith(("os.", "builtins.", "subprocess.", "hydra.")) for name in listed)


def test_help_names_every_argument(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (evaluate, explain):
        assert command.main(["--help"]) == 0
        said = capsys.readouterr().out
        assert all(f"  {key}=" in said for key in command.OWN)


def test_the_checkpoint_names_its_classes(run_dir: Path) -> None:
    facts = load_checkpoint(run_dir / "checkpoints" / "best.ckpt")["ImageDataModule"]
    assert facts["class_names"] == list("0123456789")
    assert facts["image_size"] == 32
    json.dumps(facts)
