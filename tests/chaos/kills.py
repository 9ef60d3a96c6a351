"""Processes that are killed, or asked to end, at random moments of a training, and continue."""

import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.runs import ARGS, Bench, run_folders, until
from tests.same_run import differences


@dataclass(frozen=True)
class Outcome:
    """What a kill struck, and what became of the run: `lost` is empty if it ended as an undisturbed one."""

    where: str
    lost: list[str]


class TooLate(Exception):
    """The run had ended before the kill."""


def killed(bench: Bench, rng: random.Random, variant: list[str], out: Path, *, in_write: bool) -> Outcome:
    """Kill -9 at a random moment of the run, or while a checkpoint is being written; then continue.

    Raises:
        TooLate: the run was done.
    """
    whole = bench.whole(variant)
    with bench.start(out, *ARGS, *variant) as running:
        until(running, lambda: bool(run_folders(out)))
        if in_write:
            for _ in range(rng.randint(1, 6)):
                until(running, lambda: not writing(out), poll=0)
                until(running, lambda: writing(out), poll=0)
        else:
            time.sleep(rng.uniform(0.0, bench.seconds[tuple(variant)]))
        if not running.ended(0):
            os.kill(running.pid, signal.SIGKILL)
        if running.wait().code != -signal.SIGKILL:
            raise TooLate
    return Outcome(struck(out), finish(bench, rng, variant, out, whole))


def finish(bench: Bench, rng: random.Random, variant: list[str], out: Path, whole: Path) -> list[str]:
    """Continue, by the folder or by the same command, to the end; what is then not as in `whole`."""
    folders = run_folders(out)
    begun = bool(folders) and (folders[-1] / "config.json").is_file()
    by_folder = begun and rng.random() < 0.5
    args = [f"resume={folders[-1]}"] if by_folder else [*ARGS, *variant, "resume=auto"]
    done = bench.run(out, *args)
    if done.code or "Traceback" in done.stdout + done.stderr:
        return [f"exit code {done.code}: {done.stdout[-500:]} {done.stderr[-500:]}"]
    return differences(run_folders(out)[-1], whole)


def writing(out: Path) -> bool:
    return any(out.glob("*/runs/*/checkpoints/*.tmp"))


def struck(out: Path) -> str:
    """What a kill has left."""
    for folder in run_folders(out):
        names = sorted(path.name for path in (folder / "checkpoints").glob("*"))
        rows = (folder / "metrics.csv").read_bytes().count(b"\n") if (folder / "metrics.csv").is_file() else 0
        half = ", half a file" if any(name.endswith(".tmp") for name in names) else ""
        kept = [name.removesuffix(".ckpt") for name in names if name.endswith(".ckpt")]
        return f"{rows} rows, {'+'.join(kept) or 'no checkpoint'}{half}"
    return "before the run's folder"


def asked(
    bench: Bench, rng: random.Random, variant: list[str], out: Path, number: signal.Signals
) -> tuple[float, Outcome]:
    """Ask the run to end in the middle of its training: the seconds that it takes, and what came of it.

    It must save, and leave with 128 + the signal's number.
    """
    whole = bench.whole(variant)
    with bench.start(out, *ARGS, *variant) as running:
        steps = rng.randint(2, 12)  # rows of metrics.csv, which has one every second step and more
        until(
            running,
            lambda: any(len(f.read_bytes().splitlines()) > steps for f in out.glob("*/runs/*/metrics.csv")),
        )
        os.kill(running.pid, number)
        began = time.monotonic()
        done = running.wait()
        seconds = time.monotonic() - began
    lost = [] if done.code == 128 + number else [f"exit code {done.code}, not {128 + number}"]
    lost += (
        [] if "saved after step" in done.stdout else [f"it did not say that it saved: {done.stdout[-300:]}"]
    )
    return seconds, Outcome(struck(out), lost + finish(bench, rng, variant, out, whole))
