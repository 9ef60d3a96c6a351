"""Networks as files for other programs: what they give and say, and what happens when they are wrong."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import nn

from src.config.build import build
from src.config.errors import ConfigError
from src.config.resolvers import CONF_DIR
from src.data.digits import digits
from src.engine.weights import load_checkpoint
from src.export import command as export
from src.export import formats
from src.export import write as engine
from src.export.formats import FORMATS, from_safetensors
from src.models.resnet import ResNet
from src.notebook import compose, train
from src.runs.summary import read_summary

TINY = ["data=digits", "data.batch_size=32", "data.num_workers=0", "trainer.accelerator=cpu", "model.width=8"]
TINY += ["model.strides=[2,2,2,2]", "callbacks=training", "trainer.max_epochs=2", "optimizer.lr=0.1"]
FACTS = {"class_names": '["a"]', "model": ""}
Dump = Callable[[nn.Module, torch.Tensor, dict[str, str]], bytes]
DOCS = CONF_DIR.parent / "docs" / "export.md"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose weights were averaged, exported in every format."""
    root = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTPUT_DIR", str(root))
        run_dir = train(compose(*TINY, "average=ema"))
        assert export.main([f"run={run_dir}", f"format={','.join(FORMATS)}"]) == 0
    return run_dir


def net_by_hand(run_dir: Path, **extra: torch.Tensor) -> ResNet:
    """The run's network, from the checkpoint's weights and these over them."""
    state = load_checkpoint(run_dir / "checkpoints" / "best.ckpt")["state_dict"] | extra
    net = ResNet(10, width=8, strides=[2, 2, 2, 2]).eval()
    net.load_state_dict({k.removeprefix("net."): v for k, v in state.items() if k.startswith("net.")})
    return net.requires_grad_(False)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_gives_the_averaged_networks_logits_for_pixels_normalized_as_it_says(
    exported: Path, name: str
) -> None:
    predict, facts = FORMATS[name].load(exported / "export" / f"best{FORMATS[name].suffix}", [])
    pixels = torch.from_numpy(digits().test.images[:9].copy()).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(json.loads(facts[key])).view(3, 1, 1) for key in ("mean", "std"))
    images = ((pixels / 255 - mean) / std).contiguous()
    for batch in (images[:1], images[:2], images):
        torch.testing.assert_close(predict(batch), net_by_hand(exported)(batch), rtol=0, atol=1e-5)
    # The weights that training went on from are others
    unaveraged = load_checkpoint(exported / "checkpoints" / "best.ckpt")["unaveraged"]
    assert (predict(images) - net_by_hand(exported, **unaveraged)(images)).abs().max() > 1e-2

    assert json.loads(facts["class_names"]) == [str(digit) for digit in range(10)]
    assert facts["image_size"] == "32"
    assert facts["input"].startswith("images: float32 (batch, 3, 32, 32), RGB, (pixel / 255 - mean) / std")
    assert facts["run"] == exported.name
    assert facts["identity"] == read_summary(exported)["identity"]
    assert facts["checkpoint"] == "best.ckpt"
    assert int(facts["step"]) > 0
    assert json.loads(facts["model"])["_target_"] == "src.models.resnet.ResNet"


def test_files_know_nothing_of_this_machine(exported: Path) -> None:
    for form in FORMATS.values():
        content = (exported / "export" / f"best{form.suffix}").read_bytes()
        for place in (CONF_DIR.parent, Path(torch.__file__).parents[1], exported.parent):
            assert str(place).encode() not in content


MODELS = ("resnet18", "resnet9", "speednet")
EACH = [(model, norm) for model in MODELS for norm in ("bn", "ln", "gn")]
EACH += [("resnet9", norm) for norm in ("ln2d", "in", "none")]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "norm"), EACH)
def test_every_model_and_norm_in_every_format(model: str, norm: str, tmp_path: Path) -> None:
    shallow = ["model.num_blocks=[1,1,1,1]"] if model == "resnet18" else []
    cfg = compose("data=digits", f"model={model}", f"norm={norm}", "model.width=8", *shallow).cfg
    torch.manual_seed(0)
    net: nn.Module = build(cfg.model).eval().requires_grad_(False)
    for tensor in net.state_dict().values():  # scales, shifts and statistics that matter
        if tensor.is_floating_point() and tensor.ndim == 1:
            tensor.add_(torch.rand_like(tensor), alpha=0.2)
    images = torch.randn(12, 3, 32, 32)
    assert 1e-3 < net(images).std() < 10
    facts = FACTS | {"model": json.dumps(OmegaConf.to_container(cfg.model, resolve=True))}
    for name in FORMATS:
        written = engine.write(net, images, facts, tmp_path / "best", name)
        assert written.difference <= 1e-5
        assert written.num_images == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.onnx", "best.safetensors"]


def test_a_file_that_gives_other_logits_or_facts_is_removed_and_the_one_before_it_stays(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    args = [f"run={exported}", f"out={tmp_path}", "format=safetensors"]
    assert export.main(args) == 0
    before = (tmp_path / "best.safetensors").read_bytes()
    form = FORMATS["safetensors"]

    def changed(bias: float = 0.0, **told: str) -> Dump:
        net = net_by_hand(exported)
        net.head.bias += bias
        return lambda _, images, facts: form.dump(net, images, facts | told)

    for dump, words in {
        changed(0.5): r"gives other logits than the network, by up to 0.5 where \S+ is allowed",
        changed(float("nan")): r"gives other logits than the network, by up to nan where \S+ is allowed",
        changed(mean="[0, 0, 0]"): "best.safetensors does not give back what it was told: it was removed.",
    }.items():
        monkeypatch.setitem(FORMATS, "safetensors", formats.Format(form.suffix, form.needs, dump, form.load))
        capsys.readouterr()
        assert export.main(args) == 1
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error:")]
        assert re.search(words, line)
        assert (tmp_path / "best.safetensors").read_bytes() == before
        assert not list(tmp_path.glob("*.tmp"))


def test_arguments_that_cannot_work(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*args: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            export.main(list(args))
        assert stopped.value.code == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        return line

    run = f"run={exported}"
    assert "run must be given" in refused("format=onnx")
    assert "format=onxx does not exist: valid are safetensors, onnx. Did you mean onnx?" in refused(
        run, "format=onxx"
    )
    assert "format= names nothing: valid are" in refused(run, "format=")
    assert "ckpt must be best or last: got first." in refused(run, "ckpt=first")
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnxscript" else name)
    said = refused(run, "format=safetensors,onnx")
    assert "format=onnx needs onnxscript, not installed here" in said
    assert "pip install -e '.[onnx]'" in said


def test_a_safetensors_file_calls_no_strangers(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    trace = tmp_path / "trace"
    model = {"_target_": "os.system", "command": f"touch {trace}"}
    for config in (model, {"_target_": "src.models.resnet.ResNet", "norm_layer": model}):
        save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", {"model": json.dumps(config)})
        with pytest.raises(ConfigError, match=r"would call os.system, which no file in conf/ does"):
            from_safetensors(tmp_path / "a.safetensors")
    assert not trace.exists()


@pytest.mark.slow
def test_the_blocks_of_the_docs_run_elsewhere(exported: Path, tmp_path: Path) -> None:
    blocks = dict(re.findall(r"```python name=(\w+)\n(.*?)```", DOCS.read_text(), flags=re.DOTALL))
    pixels = digits().test.images[4]
    for form in FORMATS.values():
        (tmp_path / f"best{form.suffix}").write_bytes(
            (exported / "export" / f"best{form.suffix}").read_bytes()
        )
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    mean, std = (
        np.array(load_checkpoint(exported / "checkpoints" / "best.ckpt")["ImageDataModule"][key])
        for key in ("mean", "std")
    )
    images = torch.from_numpy(((pixels / 255 - mean) / std).astype(np.float32)).permute(2, 0, 1)[None]
    want = net_by_hand(exported)(images)[0]
    said = {}
    for name in FORMATS:
        script = [blocks[name], blocks["images"], blocks[f"{name}_logits"], blocks["answer"]]
        (tmp_path / "block.py").write_text("\n".join([*script, "print(logits.tolist())"]))
        elsewhere = ["-I"] if name != "safetensors" else []  # without this project
        done = subprocess.run(
            [sys.executable, *elsewhere, "block.py"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(CONF_DIR.parent)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        *_, answer, logits = done.stdout.splitlines()
        said[name] = answer
        np.testing.assert_allclose(json.loads(logits)[0], want, rtol=0, atol=1e-5)
    assert set(said.values()) == {str(int(want.argmax()))}
