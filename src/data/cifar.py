"""CIFAR-10 and CIFAR-100 from torchvision's checked files (Krizhevsky 2009)."""

from pathlib import Path
from urllib.error import URLError

import numpy as np
from torchvision.datasets import CIFAR10, CIFAR100
from torchvision.datasets.utils import check_integrity

from src.data.source import LabelledImages, Source

DATASETS: dict[str, type[CIFAR10]] = {"cifar10": CIFAR10, "cifar100": CIFAR100}


def cifar(name: str, *, root: str, download: bool = True) -> Source:
    """Read `cifar10` or `cifar100` from `root`, the folder that holds its `cifar-…` folder.

    Raises:
        FileNotFoundError: files are missing or differ from the official ones, and cannot be downloaded.
    """
    dataset = DATASETS[name]
    if bad := bad_files(dataset, Path(root)):
        if not download:
            raise FileNotFoundError(advice(dataset, root, bad, "data.download is false"))
        try:
            dataset(root, download=True)
        except (URLError, OSError, RuntimeError) as error:
            raise FileNotFoundError(advice(dataset, root, bad, f"the download failed: {error}")) from error
    train, test = dataset(root, train=True), dataset(root, train=False)
    return Source(
        train=LabelledImages(train.data, np.asarray(train.targets, dtype=np.int64)),
        test=LabelledImages(test.data, np.asarray(test.targets, dtype=np.int64)),
        class_names=list(train.classes),
        fingerprint=f"{name}-{dataset.tgz_md5}",
    )


def bad_files(dataset: type[CIFAR10], root: Path) -> list[str]:
    """Names of the official files that `root` lacks or has with another md5 sum."""
    folder = root / dataset.base_folder
    wanted = [*dataset.train_list, *dataset.test_list, [dataset.meta["filename"], dataset.meta["md5"]]]
    return [name for name, md5 in wanted if not check_integrity(str(folder / name), md5)]


def advice(dataset: type[CIFAR10], root: str, bad: list[str], why: str) -> str:
    folder = Path(root).resolve() / dataset.base_folder
    state = f"{', '.join(bad)} missing or damaged" if folder.is_dir() else "not there"
    return (
        f"{dataset.__name__} in {folder}: {state}; {why}. Unpack {dataset.url} there, point data.root or "
        f"the environment variable DATA_ROOT to the folder that holds {dataset.base_folder}, or use "
        f"data=digits, which needs no download."
    )
