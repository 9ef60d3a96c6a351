"""Try every fault and print a table: faults tried, survived, lost. `python -m tests.chaos [seed]`.

Thirty kills and some minutes on two cores. Exits with 1 if a single run did not end as an undisturbed one.
"""

import logging
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.disk import filled, small_disk
from tests.chaos.files import damaged_checkpoints
from tests.chaos.kills import TooLate, asked, killed
from tests.chaos.pipes import second_process, without_reader
from tests.chaos.runs import VARIANTS, Bench
from tests.commands import Commands

NUM_KILLS, NUM_IN_WRITE, NUM_FLIPS = 30, 8, 200


def main(seed: int) -> int:
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # of events that a run took back
    rng, began = random.Random(seed), time.monotonic()
    table: dict[str, list[bool]] = {}
    with Commands() as commands, tempfile.TemporaryDirectory() as folder:
        bench = Bench(commands, Path(folder))
        for fault, where, lost in trials(bench, rng):
            table.setdefault(fault, []).append(not lost)
            print(f"{fault:<28} {where:<64} {'; '.join(lost)[:300] or 'as undisturbed'}", flush=True)
    print(f"\n{'fault':<28} tried  survived  lost")
    for fault, good in table.items():
        print(f"{fault:<28} {len(good):5d}  {sum(good):8d}  {len(good) - sum(good):4d}")
    print(f"\nseed {seed}, {time.monotonic() - began:.0f} s")
    return int(not all(all(good) for good in table.values()))


def trials(bench: Bench, rng: random.Random) -> Iterator[tuple[str, str, list[str]]]:
    """(fault, where it struck, what was lost)."""
    out = numbered(bench.folder)
    n = 0
    while n < NUM_KILLS:
        in_write = n < NUM_IN_WRITE
        try:
            one = killed(bench, rng, VARIANTS[n % len(VARIANTS)], next(out), in_write=in_write)
        except TooLate:
            continue
        n += 1
        yield "kill -9 while saving" if in_write else "kill -9 at random", one.where, one.lost
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT) * 2:
        seconds, one = asked(bench, rng, rng.choice(VARIANTS), next(out), number)
        late = [f"{seconds:.1f} s are too long"] if seconds > 5 else []
        yield number.name, f"{one.where}, gone in {seconds:.2f} s", one.lost + late
    found = damaged_checkpoints(bench.whole(VARIANTS[1]), rng, next(out), times=NUM_FLIPS)
    for kind, count in found.items():
        for _ in range(count):
            yield "damaged checkpoint", kind, [kind] if kind == "WRONG" else []
    for left in (0, 100_000):
        disk = next(out)
        with small_disk(disk) as mounted:
            if mounted:
                lost = filled(bench, rng, VARIANTS[0], disk, left=left)
                yield "full disk", f"{left:,} bytes left", lost
            else:
                print("full disk: not tried, since this process may not mount a small one")
    yield "reader of the output gone", "", without_reader(bench, VARIANTS[0], next(out))
    yield "second process", "", second_process(bench, VARIANTS[0], next(out))


def numbered(folder: Path) -> Iterator[Path]:
    """New folders."""
    n = 0
    while True:
        n += 1
        yield folder / f"trial{n}"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
