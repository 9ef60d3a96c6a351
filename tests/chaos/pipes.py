"""Runs whose terminal goes away, and a second process that wants the same folder."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from tests.chaos.kills import finish
from tests.chaos.runs import ARGS, Bench, run_folders, until
from tests.commands import ROOT
from tests.same_run import differences


def without_reader(bench: Bench, variant: list[str], out: Path) -> list[str]:
    """Who reads the output leaves after a line, as `| head -1` does: the run continues to its end."""
    whole = bench.whole(variant)
    with subprocess.Popen(
        [sys.executable, "-m", "src.train", *ARGS, *variant],
        cwd=ROOT,
        env=os.environ | {"OUTPUT_DIR": str(out), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    lost = [] if process.returncode == 0 else [f"exit code {process.returncode}"]
    lost += [f"it complains: {said[-500:]}"] if said else []
    return lost + differences(run_folders(out)[-1], whole)


def second_process(bench: Bench, variant: list[str], out: Path) -> list[str]:
    """A second process that would continue in the folder of a run that is being trained is sent away."""
    whole = bench.whole(variant)
    with bench.start(out, *ARGS, *variant) as running:
        until(running, lambda: any(out.glob("*/runs/*/metrics.csv")))
        (folder,) = run_folders(out)
        os.kill(running.pid, signal.SIGSTOP)  # however long the second takes to start
        try:
            second = bench.run(out, f"resume={folder}")
        finally:
            os.kill(running.pid, signal.SIGCONT)
        first = running.wait()
    lost = [] if (first.code, second.code) == (0, 1) else [f"exit codes {first.code}, {second.code}"]
    if "is being trained in another process: left alone" not in second.stdout + second.stderr:
        lost.append(f"it should say that another process trains there: {second.stdout}{second.stderr}")
    lost += differences(folder, whole)
    return lost + finish(bench, random.Random(0), variant, out, whole)
