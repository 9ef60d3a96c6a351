"""Checkpoint files that are whole, whatever happens while they are written, and that show it."""

import errno
import hashlib
import io
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from src.files import write_text

SUMS = "SHA256SUMS"  # beside the checkpoints, in the format of sha256sum: `digest  name`, the newest last
PREVIOUS = {"last.ckpt": "previous.ckpt"}  # where the one before goes
DIGESTS: dict[tuple[int, ...], str] = {}  # by device, inode, time and size of a file


class WholeCheckpoints(TorchCheckpointIO):
    """Write beside the old file, to the disk, read it back, then put the new one in its place in one move.

    Lightning writes to the system's temporary folder and moves the file from there, which copies it where
    that is another disk: a kill in the middle leaves half a checkpoint and no old one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Replace `path`; the file that was there becomes the `PREVIOUS` of its name, if it is whole.

        Raises:
            ValueError: the disk is full.
            OSError: the disk does not give back what was written. In both cases the old file is as it was.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(checkpoint, content)
        digest = hashlib.sha256(content.getbuffer()).hexdigest()
        temporary = target.with_name(f"{target.name}.tmp")  # one name: what a kill leaves is written over
        try:
            write_through(temporary, content.getbuffer())
            DIGESTS.pop(state(temporary), None)  # an inode comes back, and perhaps within the clock's tick
            if sha256(temporary) != digest:
                raise OSError(f"{temporary} does not read back as it was written: is the disk failing?")
            kept = [PREVIOUS[target.name]] if target.name in PREVIOUS and has_whole(target) else []
            note(target.parent, {name: sha256(target) for name in kept} | {target.name: digest})
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ValueError(no_room(target, len(content.getbuffer()))) from error
            raise
        for name in kept:
            target.replace(target.with_name(name))
        temporary.replace(target)
        sync_folder(target.parent)

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As Lightning's.

        Raises:
            ValueError: the file is not what was written.
        """
        must_be_whole(Path(path))
        return super().load_checkpoint(path, *args, **kwargs)


def write_through(path: Path, content: memoryview) -> None:
    """Write a file to the disk, and let the next reader take it from there rather than from memory."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def sync_folder(folder: Path) -> None:
    """Bring what was renamed in a folder to the disk, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def no_room(target: Path, num_bytes: int) -> str:
    free = shutil.disk_usage(target.parent).free
    kept = f"The old {target.name} is as it was" if target.is_file() else "Nothing was replaced"
    return (
        f"the disk is full: {target.parent} needs {num_bytes:,} bytes for {target.name} and has {free:,} "
        f"free. {kept}. Make room, then type resume={target.parent.parent}."
    )


def is_whole(path: Path) -> bool:
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


def has_whole(path: Path) -> bool:
    return path.is_file() and is_whole(path)


def must_be_whole(path: Path) -> None:
    """Stop here if a checkpoint is not what was written.

    Raises:
        ValueError: it is not.
    """
    if not is_whole(path):
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
