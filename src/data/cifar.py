"""CIFAR-10 and CIFAR-100 from their official files (Krizhevsky 2009), each read and checked once."""

import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import torch
from numpy._core.multiarray import _reconstruct  # private, but its pickles name it, so it has to stay
from torchvision.datasets import CIFAR10, CIFAR100
from torchvision.datasets.utils import download_and_extract_archive

from src.data.source import LabelledImages, Source

DATASETS: dict[str, type[CIFAR10]] = {"cifar10": CIFAR10, "cifar100": CIFAR100}
_ARRAYS = {  # all that a pickled array names; numpy 1 wrote the official files
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy._core.multiarray._reconstruct": _reconstruct,
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
}


def cifar(name: str, *, root: str, download: bool = True) -> Source:
    """Read `cifar10` or `cifar100` from `root`, the folder that holds its `cifar-…` folder.

    Raises:
        FileNotFoundError: files are missing or differ from the official ones, and cannot be downloaded.
        ValueError: from `unpickled`.
    """
    dataset = DATASETS[name]
    contents = read_files(dataset, Path(root))
    if bad := bad_names(contents):
        if not download:
            raise FileNotFoundError(advice(dataset, root, bad, "data.download is false"))
        try:
            # not `dataset(root, download=True)`, which unpickles what it has downloaded
            download_and_extract_archive(dataset.url, root, filename=dataset.filename, md5=dataset.tgz_md5)
        except (URLError, OSError, RuntimeError) as error:
            raise FileNotFoundError(advice(dataset, root, bad, f"the download failed: {error}")) from error
        contents = read_files(dataset, Path(root))
        if bad := bad_names(contents):
            raise FileNotFoundError(advice(dataset, root, bad, "they were downloaded just now"))
    files = {file: unpickled(file, content) for file, content in contents.items() if content is not None}
    return Source(
        train=labelled([files[file] for file, _ in dataset.train_list]),
        test=labelled([files[file] for file, _ in dataset.test_list]),
        class_names=list(files[dataset.meta["filename"]][dataset.meta["key"]]),
        fingerprint=f"{name}-{dataset.tgz_md5}",
    )


def read_files(dataset: type[CIFAR10], root: Path) -> dict[str, bytes | None]:
    """The official files by name; None for one that `root` lacks or has with another md5 sum."""
    meta = dataset.meta["filename"], dataset.meta["md5"]
    wanted = dict([*dataset.train_list, *dataset.test_list, meta])

    def checked(file: str) -> bytes | None:
        try:
            content = (root / dataset.base_folder / file).read_bytes()
        except OSError:
            return None
        return content if md5(content, usedforsecurity=False).hexdigest() == wanted[file] else None

    with ThreadPoolExecutor() as pool:  # reading and md5 leave the interpreter free
        return dict(zip(wanted, pool.map(checked, wanted), strict=True))


def bad_names(contents: dict[str, bytes | None]) -> list[str]:
    return [file for file, content in contents.items() if content is None]


class _ArraysOnly(pickle.Unpickler):
    """Reads plain values and numpy arrays; a pickle that names anything else is not read on."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ARRAYS[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"it would call {module}.{name}: nothing was run") from None


def unpickled(file: str, content: bytes) -> dict[str, Any]:
    """What a checked file holds.

    Raises:
        ValueError: it holds more than plain values and arrays, or is damaged.
    """
    try:
        found = _ArraysOnly(BytesIO(content), encoding="latin1").load()
    except Exception as error:  # whatever a damaged pickle makes of reading it
        raise ValueError(f"{file} is no file of CIFAR: {' '.join(str(error).split())}.") from None
    if not isinstance(found, dict):
        raise ValueError(f"{file} is no file of CIFAR: it holds no dict.")
    return found


def labelled(batches: Sequence[dict[str, Any]]) -> LabelledImages:
    """Rows of 3072 values (red, green, blue, each 32x32) to one (N, 32, 32, 3) array, with the labels."""
    labels = [np.asarray(batch.get("labels", batch.get("fine_labels")), dtype=np.int64) for batch in batches]
    images = torch.empty(sum(map(len, labels)), 32, 32, 3, dtype=torch.uint8)
    parts = torch.split(images, [len(part) for part in labels])
    for part, batch in zip(parts, batches, strict=True):
        part.copy_(torch.from_numpy(batch["data"]).view(-1, 3, 32, 32).permute(0, 2, 3, 1))
    return LabelledImages(images.numpy(), np.concatenate(labels))


def advice(dataset: type[CIFAR10], root: str, bad: list[str], why: str) -> str:
    folder = Path(root).resolve() / dataset.base_folder
    state = f"{', '.join(bad)} missing or damaged" if folder.is_dir() else "not there"
    return (
        f"{dataset.__name__} in {folder}: {state}; {why}. Unpack {dataset.url} there, point data.root or "
        f"the environment variable DATA_ROOT to the folder that holds {dataset.base_folder}, or use "
        f"data=digits, which needs no download."
    )
