"""Generated datasets in the formats that the bench reads, and short runs on them."""

import os
import pickle
import signal
from collections.abc import Callable, Iterator
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10, CIFAR100

from src.notebook import compose, train
from tests.commands import Commands

TINY = [
    "data.batch_size=8",
    "data.num_workers=0",
    "trainer.accelerator=cpu",
]


if (
    signal.getsignal(signal.SIGINT) == signal.SIG_IGN
):  # in a background job; the commands here would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test writes below its own folder, and reads no dataset of the machine's by accident."""
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path / "outputs"))
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "no-data"))
    yield
    if torch.distributed.is_initialized():  # trainer=ddp leaves its group behind
        torch.distributed.destroy_process_group()
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE"):
        os.environ.pop(name, None)  # a command would wait for processes of somebody else


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """Runs commands as people type them; see there."""
    with Commands() as found:
        yield found


@pytest.fixture(scope="session")
def cifar10_root() -> str:
    """The folder with the real CIFAR-10, from DATA_ROOT as it was when the tests started."""
    if not (Path(REAL_ROOT) / CIFAR10.base_folder).is_dir():
        pytest.skip(f"no real CIFAR-10 in DATA_ROOT={REAL_ROOT!r}")
    return REAL_ROOT


REAL_ROOT = os.environ.get("DATA_ROOT", "data")


@pytest.fixture
def run_tiny() -> Callable[..., Path]:
    """Train with these overrides on the CPU with batches of eight; the run's folder comes back."""
    return lambda *overrides: train(compose(*TINY, *overrides))


@pytest.fixture
def fake_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10 and CIFAR-100 files of 400 training and 100 test images, with md5 sums that fit."""
    rng = np.random.default_rng(0)
    root = tmp_path / "cifar"

    def write(dataset: type[CIFAR10], name: str, num_images: int, key: str) -> tuple[str, str]:
        labels = np.arange(num_images) % (10 if dataset is CIFAR10 else 100)
        images = rng.integers(0, 256, (num_images, 3 * 32 * 32), dtype=np.uint8)
        images[:, 0] = labels  # so that a test can tell images apart
        content = pickle.dumps({"data": images, key: labels.tolist()})
        (root / dataset.base_folder).mkdir(parents=True, exist_ok=True)
        (root / dataset.base_folder / name).write_bytes(content)
        return name, md5(content).hexdigest()

    for dataset, key, per_file in ((CIFAR10, "labels", 80), (CIFAR100, "fine_labels", 400)):
        train_list = [write(dataset, name, per_file, key) for name, _ in dataset.train_list]
        test_list = [write(dataset, name, 100, key) for name, _ in dataset.test_list]
        meta = dict(dataset.meta)
        names = [f"class{k}" for k in range(10 if dataset is CIFAR10 else 100)]
        content = pickle.dumps({meta["key"]: names})
        (root / dataset.base_folder / meta["filename"]).write_bytes(content)
        meta["md5"] = md5(content).hexdigest()
        monkeypatch.setattr(dataset, "train_list", train_list)
        monkeypatch.setattr(dataset, "test_list", test_list)
        monkeypatch.setattr(dataset, "meta", meta)
    return root


@pytest.fixture
def fake_tiny_imagenet(tmp_path: Path) -> Path:
    """Tiny ImageNet's folders with 200 classes of three training images and one validation image."""
    root = tmp_path / "tiny"
    folder = root / "tiny-imagenet-200"
    ids = [f"n{k:08d}" for k in range(200)]
    (folder / "val" / "images").mkdir(parents=True)
    (folder / "wnids.txt").write_text("\n".join(ids))
    (folder / "words.txt").write_text("\n".join(f"{i}\tthing {k}, object" for k, i in enumerate(ids)))
    for k, i in enumerate(ids):
        (folder / "train" / i / "images").mkdir(parents=True)
        for n in range(3):
            grey(64, k).save(folder / "train" / i / "images" / f"{i}_{n}.JPEG")
        grey(64, k).save(folder / "val" / "images" / f"val_{k}.JPEG")
    rows = [f"val_{k}.JPEG\t{i}\t0\t0\t63\t63" for k, i in enumerate(ids)]
    (folder / "val" / "val_annotations.txt").write_text("\n".join(rows))
    return root


@pytest.fixture
def fake_folder(tmp_path: Path) -> Path:
    """Class folders with pictures of several sizes and modes."""
    root = tmp_path / "my pictures ü"
    for split, count in (("train", 8), ("test", 3)):
        for name, mode in (("cats", "RGB"), ("dogs", "RGBA"), ("owls", "L")):
            (root / split / name).mkdir(parents=True)
            for n in range(count):
                Image.new(mode, (40 + 7 * n, 50)).save(root / split / name / f"{n}.png")
    return root


def grey(size: int, value: int) -> Image.Image:
    return Image.new("RGB", (size, size), (value, value, value))
