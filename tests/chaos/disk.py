"""A disk that fills up while a run trains on it."""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.engine.weights import load_checkpoint
from tests.chaos.kills import finish
from tests.chaos.runs import ARGS, Bench, run_folders, until

MEGABYTES = 16


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system of a few megabytes at a folder, where this process may mount one."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def filled(bench: Bench, rng: random.Random, variant: list[str], disk: Path, *, left: int) -> list[str]:
    """Fill the disk up to `left` bytes in the middle of a run; it must stop in one line, and resume later."""
    whole, ballast, users = bench.whole(variant), disk / "ballast", disk / "the user's"
    users.write_text("kept")
    with bench.start(disk, *ARGS, *variant) as running:
        lines = rng.randint(6, 14)  # rows of metrics.csv
        until(
            running,
            lambda: any(len(f.read_bytes().splitlines()) > lines for f in disk.glob("*/runs/*/metrics.csv")),
        )
        fill(ballast, left)
        done = running.wait()
    (folder,) = run_folders(disk)
    lost = [] if done.code == 1 else [f"exit code {done.code}, not 1"]
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("error: ")]
    if len(said) != 1 or "disk" not in said[0] or str(folder) not in said[0]:
        lost.append(f"it should say in one line which disk is full: {said}")
    if "Traceback" in done.stdout + done.stderr:
        lost.append(f"a traceback: {done.stderr[-2000:]}")
    if users.read_text() != "kept" or ballast.stat().st_size == 0:
        lost.append("it freed what is not its own")
    load_checkpoint(folder / "checkpoints" / "last.ckpt")
    ballast.unlink()
    return lost + finish(bench, rng, variant, disk, whole)


def fill(path: Path, left: int) -> None:
    """Write a file that leaves so many bytes free."""
    with path.open("wb") as file:
        while True:
            found = os.statvfs(path.parent)
            room = found.f_bavail * found.f_frsize - left
            if room <= 0:
                return
            file.write(bytes(min(room, 1 << 20)))
            file.flush()
