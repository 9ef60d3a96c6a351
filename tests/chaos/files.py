"""Checkpoints with a flipped byte, or cut short."""

import random
import shutil
from collections import Counter
from pathlib import Path

from src.engine.weights import load_checkpoint
from src.runs.checkpoint_file import SUMS, resume_point
from tests.same_run import unequal


def damage(content: bytes, rng: random.Random) -> bytes:
    """Flip one bit at a random place, or cut the file off there (one time in four)."""
    place = rng.randrange(len(content))
    if rng.random() < 0.25:
        return content[:place]
    changed = bytearray(content)
    changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def damaged_checkpoints(run_dir: Path, rng: random.Random, folder: Path, *, times: int) -> Counter[str]:
    """Damage `last.ckpt` again and again, beside its sums and alone, and read it as a run or command would.

    Returns:
        How often it was `detected`, `harmless` (all that is read is the same) or `WRONG`.
    """
    content = (run_dir / "checkpoints" / "last.ckpt").read_bytes()
    want = load_checkpoint(run_dir / "checkpoints" / "last.ckpt")
    found: Counter[str] = Counter()
    shutil.copytree(run_dir / "checkpoints", folder / "run" / "checkpoints")
    (folder / "alone").mkdir()
    with_sums, alone = folder / "run" / "checkpoints" / "last.ckpt", folder / "alone" / "last.ckpt"
    assert (with_sums.parent / SUMS).is_file()
    for n in range(times):
        broken = damage(content, rng)
        path = alone if n % 2 else with_sums
        path.write_bytes(broken)
        if path is with_sums:
            point = resume_point(folder / "run")
            fell_back = point is not None and point.path.name != "last.ckpt"
            found["detected" if fell_back else "WRONG"] += 1
            continue
        try:
            got = load_checkpoint(path)
        except ValueError as error:
            one_line = bool(str(error)) and "\n" not in str(error)
            found["detected" if one_line else "WRONG"] += 1
        else:
            found["WRONG" if list(unequal(got, want)) else "harmless"] += 1
    return found
