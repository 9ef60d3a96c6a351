"""Any pictures in class folders: root/{train,val,test}/<class>/<image>."""

from hashlib import sha256
from pathlib import Path

import numpy as np
from torchvision.datasets.folder import IMG_EXTENSIONS

from src.data.source import ImageFiles, LabelledImages, Source


def image_folder(root: str, image_size: int) -> Source:
    """Read `root/train`, `root/test` and, where it exists, `root/val`; classes are train's folders.

    Raises:
        FileNotFoundError: a folder is missing, or holds no images.
        ValueError: val or test has a class that train does not have.
    """
    folder = Path(root)
    for name in ("train", "test"):
        if not (folder / name).is_dir():
            raise FileNotFoundError(
                f"no folder {(folder / name).resolve()}: data.root must hold train/<class>/<images> and "
                f"test/<class>/<images>; val/<class>/<images> is optional."
            )
    class_names = _class_folders(folder / "train")
    train, val, test = (
        _labelled_files(folder / name, class_names, image_size) if (folder / name).is_dir() else None
        for name in ("train", "val", "test")
    )
    assert train is not None
    assert test is not None
    return Source(train, test, class_names, fingerprint(folder / "train", image_size), val)


def _class_folders(folder: Path) -> list[str]:
    """Names of the folders in `folder`, sorted, hidden ones left out."""
    return sorted(
        entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )


def _image_paths(folder: Path) -> list[Path]:
    """Image files below `folder`, sorted."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMG_EXTENSIONS and p.is_file())


def _labelled_files(folder: Path, class_names: list[str], image_size: int) -> LabelledImages:
    """The images in `folder/<class>`, labelled by the position of their class in `class_names`."""
    if strangers := set(_class_folders(folder)) - set(class_names):
        raise ValueError(
            f"{folder} has classes that train lacks: {sorted(strangers)}. Train has {class_names}."
        )
    files = [(path, label) for label, name in enumerate(class_names) for path in _image_paths(folder / name)]
    labels = np.array([label for _, label in files], dtype=np.int64)
    empty = [name for label, name in enumerate(class_names) if not (labels == label).any()]
    if not files or (folder.name == "train" and empty):
        raise FileNotFoundError(
            f"no images in {folder.resolve()} for {empty or class_names}: "
            f"valid are {', '.join(IMG_EXTENSIONS)}."
        )
    return LabelledImages(ImageFiles([path for path, _ in files], image_size), labels)


def fingerprint(folder: Path, image_size: int) -> str:
    """A name that changes with the names, sizes and times of the files in `folder`."""
    digest = sha256(str(image_size).encode())
    for path in _image_paths(folder):
        stat = path.stat()
        digest.update(f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return f"folder-{digest.hexdigest()[:16]}"
