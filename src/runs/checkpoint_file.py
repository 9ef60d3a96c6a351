"""A run's checkpoints: whole whatever happens while they are written, and the one that a run resumes from."""

import errno
import hashlib
import io
import os
import pickle
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from src.files import atomic_write, write_text

SUMS = "SHA256SUMS"  # beside the checkpoints, in the format of sha256sum: `digest  name`, the newest last
_PREVIOUS = {"last.ckpt": "previous.ckpt"}  # where the one before goes
DIGESTS: dict[tuple[int, ...], str] = {}  # by device, inode, time and size of a file
# What a run adds to instead of writing it again
_CURVES = ("metrics.csv", "updates.csv", "events.out.tfevents*")
_GROWING = (*_CURVES, "checkpoints/*", "traceback.txt")
NAMES = ("last", "best", "previous")


class WholeCheckpoints(TorchCheckpointIO):
    """Write beside the old file, to the disk, read it back, then put the new one in its place in one move.

    Lightning writes to the system's temporary folder and moves the file from there, which copies it where
    that is another disk: a kill in the middle leaves half a checkpoint and no old one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Replace `path`; the file that was there becomes the `_PREVIOUS` of its name, if it is whole.

        Raises:
            ValueError: the disk is full.
            OSError: the disk does not give back what was written. In both cases the old file is as it was.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(checkpoint, content)
        digest = hashlib.sha256(content.getbuffer()).hexdigest()
        for left in target.parent.glob(f"{target.name}.*.tmp"):  # by a kill
            left.unlink()
        try:
            with atomic_write(target, "wb") as file:
                _write_through(file, content.getbuffer())
                written = Path(file.name)
                DIGESTS.pop(state(written), None)  # an inode comes back, and perhaps within the clock's tick
                if sha256(written) != digest:
                    raise OSError(f"{written} does not read back as it was written: is the disk failing?")
                kept = [_PREVIOUS[target.name]] if target.name in _PREVIOUS and _has_whole(target) else []
                note(target.parent, {name: sha256(target) for name in kept} | {target.name: digest})
                for name in kept:
                    target.replace(target.with_name(name))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ValueError(_no_room(target, len(content.getbuffer()))) from error
            raise
        _sync_folder(target.parent)

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As Lightning's.

        Raises:
            ValueError: the file is not what was written.
        """
        must_be_whole(Path(path))
        return super().load_checkpoint(path, *args, **kwargs)


def _write_through(file: IO[bytes], content: memoryview) -> None:
    """Write a file to the disk, and let the next reader take it from there rather than from memory."""
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _sync_folder(folder: Path) -> None:
    """Bring what was renamed in a folder to the disk, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _no_room(target: Path, num_bytes: int) -> str:
    free = shutil.disk_usage(target.parent).free
    kept = f"The old {target.name} is as it was" if target.is_file() else "Nothing was replaced"
    return (
        f"the disk is full: {target.parent} needs {num_bytes:,} bytes for {target.name} and has {free:,} "
        f"free. {kept}. Make room, then type resume={target.parent.parent}."
    )


def _is_whole(path: Path) -> bool:
    """Whether a checkpoint is what was written, by the sums beside it.

    A file whose name they do not have (it was copied here, or is older than they are) is asked for the
    CRC-32s that torch writes into it; one that is no archive is left to torch to refuse.
    """
    known = sums(path.parent)
    if sha256(path) in (digest for digest, _ in known):
        return True
    if path.name in (name for _, name in known):
        return False
    try:
        if not zipfile.is_zipfile(path):
            return True
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError):
        return False


def _has_whole(path: Path) -> bool:
    return path.is_file() and _is_whole(path)


def must_be_whole(path: Path) -> None:
    """Stop here if a checkpoint is not what was written.

    Raises:
        ValueError: it is not.
    """
    if not _is_whole(path):
        raise ValueError(f"{path} is damaged: it is not the file that was written (its checksum differs).")


def sums(folder: Path) -> list[tuple[str, str]]:
    """(SHA-256 in hexadecimal, name of a checkpoint) as noted; none where nothing was."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [(digest, name) for digest, _, name in (line.partition("  ") for line in lines)]


def note(folder: Path, digests: dict[str, str]) -> None:
    """Add digests by name to a folder's sums: of each name the last two stay.

    They are there before the files: in between, both the old and the new file are known.
    """
    lines = sums(folder) + [(digest, name) for name, digest in digests.items()]
    kept = [line for n, line in enumerate(lines) if [name for _, name in lines[n:]].count(line[1]) <= 2]
    write_text(folder / SUMS, "".join(f"{digest}  {name}\n" for digest, name in kept))


def sha256(path: Path) -> str:
    """A file's SHA-256 in hexadecimal; computed once for each of its states, wherever it has been moved."""
    if (now := state(path)) not in DIGESTS:
        with path.open("rb") as file:
            DIGESTS[now] = hashlib.file_digest(file, "sha256").hexdigest()
    return DIGESTS[now]


def state(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


@dataclass(frozen=True)
class ResumePoint:
    """A checkpoint, and the number of optimizer steps until it."""

    path: Path
    step: int


def resume_point(run_dir: str | Path) -> ResumePoint | None:
    """Where a run in this folder continues: at the newest whole checkpoint; None if it did not get so far.

    That is `last.ckpt`. Where it is damaged, or a kill came while it was being replaced, `previous.ckpt` is
    the one before. `best.ckpt` is written before `last.ckpt`: where it is ahead, a kill came between
    the two, and it is the only one whose state knows of itself.

    Raises:
        ValueError: there are checkpoints to continue from, and all of them are damaged.
    """
    found = checkpoints(run_dir)
    if not {"last", "previous"} & found.keys():
        return None
    points = [ResumePoint(path, step) for path in found.values() if (step := steps(path)) is not None]
    if not points:
        raise ValueError(
            f"all checkpoints in {Path(run_dir) / 'checkpoints'} are damaged: nothing to resume from. "
            f"Remove that folder to begin again."
        )
    return max(points, key=lambda point: point.step)  # the first of equals


def damaged(run_dir: str | Path) -> list[Path]:
    """Checkpoints of a run that are not what was written."""
    return [path for path in checkpoints(run_dir).values() if steps(path) is None]


def checkpoints(run_dir: str | Path) -> dict[str, Path]:
    """The checkpoints in a run's folder, by their names without `.ckpt`."""
    paths = {name: Path(run_dir) / "checkpoints" / f"{name}.ckpt" for name in NAMES}
    return {name: path for name, path in paths.items() if path.is_file()}


def steps(path: Path) -> int | None:
    """Optimizer steps until a checkpoint, whose tensors stay on the disk; None: it is damaged."""
    if not _is_whole(path):
        return None
    try:
        return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError):
        return None  # older than the sums, and broken


def to_disk(run_dir: Path) -> None:
    """Bring the curves so far to the disk: a checkpoint must not be ahead of them when the power fails."""
    for path in (path for pattern in _CURVES for path in run_dir.glob(pattern)):
        with path.open("rb") as file:
            os.fsync(file.fileno())


def clear(run_dir: Path) -> None:
    """Remove what a run left that got to no checkpoint, so that it can begin again in the same folder."""
    for pattern in _GROWING:
        for path in run_dir.glob(pattern):
            path.unlink()
