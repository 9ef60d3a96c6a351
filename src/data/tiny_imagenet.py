"""Tiny ImageNet: 200 classes, 64x64 (Le & Yang 2015, Stanford CS231N)."""

from pathlib import Path
from urllib.error import URLError

import numpy as np
from torchvision.datasets.utils import download_and_extract_archive

from src.data.source import ImageFiles, LabelledImages, Source

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_FOLDER = "tiny-imagenet-200"
_IMAGE_SIZE = 64
_POOL_SEED = 1


def tiny_imagenet(root: str, *, download: bool = True, test_fraction: float | None = None) -> Source:
    """Read Tiny ImageNet from `root`, the folder that holds `tiny-imagenet-200`.

    Its official test images have no labels, so the official `val` is the test set.

    Args:
        root: the folder.
        download: fetch the archive if the folder is missing.
        test_fraction: pool train and val, and draw this share of all images as the test set, whatever
            their classes; seed 1. None: the official split.

    Raises:
        FileNotFoundError: the folder is missing and cannot be downloaded, or a file of it is missing.
    """
    folder = Path(root) / _FOLDER
    if not folder.is_dir():
        if not download:
            raise FileNotFoundError(advice(folder, "data.download is false"))
        try:
            download_and_extract_archive(URL, root)
        except (URLError, OSError, RuntimeError) as error:
            raise FileNotFoundError(advice(folder, f"the download failed: {error}")) from error
    try:
        ids = (folder / "wnids.txt").read_text().split()
        words = dict(line.split("\t", 1) for line in (folder / "words.txt").read_text().splitlines())
        train_paths, train_labels = _train_files(folder, ids)
        test_paths, test_labels = _val_files(folder, ids)
    except FileNotFoundError as error:
        raise FileNotFoundError(advice(folder, f"{error.filename} is missing")) from error
    if test_fraction is not None:
        paths, labels = train_paths + test_paths, np.concatenate([train_labels, test_labels])
        order = np.random.default_rng(_POOL_SEED).permutation(len(labels))
        test, train = map(np.sort, np.split(order, [max(1, round(test_fraction * len(labels)))]))
        train_paths, test_paths = [paths[i] for i in train], [paths[i] for i in test]
        train_labels, test_labels = labels[train], labels[test]
    return Source(
        train=LabelledImages(ImageFiles(train_paths, _IMAGE_SIZE), train_labels),
        test=LabelledImages(ImageFiles(test_paths, _IMAGE_SIZE), test_labels),
        class_names=[words[i].split(",")[0] for i in ids],
        fingerprint=f"{_FOLDER}-{len(train_labels)}-{test_fraction}-by-chance",
    )


def _train_files(folder: Path, ids: list[str]) -> tuple[list[Path], np.ndarray]:
    """Paths and labels of train/<id>/images/*.JPEG."""
    files = [
        (path, k) for k, i in enumerate(ids) for path in sorted((folder / "train" / i / "images").iterdir())
    ]
    return [path for path, _ in files], np.array([k for _, k in files], dtype=np.int64)


def _val_files(folder: Path, ids: list[str]) -> tuple[list[Path], np.ndarray]:
    """Paths and labels of val/images, as val/val_annotations.txt lists them."""
    rows = [
        line.split("\t")[:2] for line in (folder / "val" / "val_annotations.txt").read_text().splitlines()
    ]
    paths = [folder / "val" / "images" / name for name, _ in rows]
    return paths, np.array([ids.index(i) for _, i in rows], dtype=np.int64)


def advice(folder: Path, why: str) -> str:
    return (
        f"Tiny ImageNet in {folder.resolve()}: {why}. Unpack {URL} there, point data.root or the environment "
        f"variable DATA_ROOT to the folder that holds {_FOLDER}, or use data=digits, which needs no download."
    )
