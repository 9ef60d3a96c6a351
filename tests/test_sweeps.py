"""Sweeps that are stopped, fail in part, are killed or typed again."""

import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from src.callbacks.recorder import Recorder
from src.config.resolvers import CONF_DIR

TINY = [
    *("data=digits", "data.batch_size=32", "data.num_workers=0", "model.width=4", "model.strides=[2,2,2,2]"),
    *("callbacks=training", "~callbacks.updates", "~callbacks.samples", "trainer.accelerator=cpu"),
    *("trainer.max_epochs=2", "trainer.limit_train_batches=2"),
]
SAME = ("epochs", "best_epoch", "val/acc", "val/loss", "test/acc", "test/loss", "train_images")
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """`python -m src.train <TINY> …` in this process: exit code, standard output and error."""
    handler = signal.getsignal(signal.SIGTERM)

    def call(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["train.py", *with_tiny(args)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(CONF_DIR.parent / "src" / "train.py"), run_name="__main__")
        assert isinstance(stop.value.code, int)
        return stop.value.code, *capfd.readouterr()

    yield call
    signal.signal(signal.SIGTERM, handler)


def with_tiny(args: Sequence[str]) -> list[str]:
    return [*(a for a in args if a == "-m"), *TINY, *(a for a in args if a != "-m")]


def sweeps() -> list[Path]:
    return sorted(Path(os.environ["OUTPUT_DIR"]).glob("*/multiruns/*/"))


def summaries(sweep: Path) -> dict[str, dict[str, Any]]:
    """The run's overrides after `norm=` -> summary, in the order of jobs."""
    paths = sorted(sweep.glob("*/summary.json"), key=lambda path: path.parent.name)
    return {path.parent.name.partition("norm=")[2]: json.loads(path.read_text()) for path in paths}


def results(sweep: Path) -> list[list[Any]]:
    return [[facts[key] for key in SAME] for facts in summaries(sweep).values()]


@pytest.mark.slow
def test_jobs_that_are_done_are_skipped_and_failed_ones_wait_to_be_asked_for(command: Command) -> None:
    # 1,437 training images cannot spare a validation set of 1,436: only the job itself can know
    typed = ["-m", "norm=bn,ln", "data.num_val=180,1436"]
    code, out, err = command(*typed)
    (sweep,) = sweeps()
    failed = [path.name for path in sorted(sweep.glob("*_*")) if "num_val=1436" in path.name]
    assert code == 1
    assert err.splitlines() == [
        f"error: 2 of 4 jobs failed, in {sweep}: {', '.join(failed)}. The same command with "
        f"rerun=failed tries them again."
    ]
    assert out.startswith(f"sweep folder: {sweep} (4 jobs)\n")
    before = {path: path.stat().st_mtime_ns for path in sweep.glob("*/.hydra/*")}
    before |= {path: path.stat().st_mtime_ns for path in sweep.glob("*/summary.json")}

    # the order of overrides matters only where it changes the jobs' order
    code, out, err = command("-m", "data.num_workers=1", *typed[1:])
    assert code == 1
    assert out.startswith(f"sweep folder: {sweep} resumes: 2 of 4 jobs are done\n")
    lines = out.splitlines()
    assert sum(line.endswith(": done before") for line in lines) == 2
    assert sum("failed before" in line and "(rerun=failed tries it again)" in line for line in lines) == 2
    assert "epoch 1/2" not in out
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(err.splitlines()) == 1

    code, out, _ = command(*typed, "rerun=failed")
    assert code == 1
    assert out.count("error: ") == 2
    assert sum(line.endswith(": done before") for line in out.splitlines()) == 2
    assert sweeps() == [sweep]
    assert len(list(sweep.glob("*/summary.json"))) == 4


@pytest.mark.slow
def test_all_done_is_said_and_rerun_all_begins_anew(command: Command) -> None:
    code, _, err = command("-m", "norm=bn,ln")
    (first,) = sweeps()
    assert (code, err) == (0, "")
    assert (first / "results.csv").is_file()
    code, out, err = command("-m", "norm=bn,ln")
    assert (code, err) == (0, "")
    assert out.startswith(f"all 2 jobs of this sweep were done before, in {first}: nothing is trained.")
    assert "rerun=all does them again, in a new folder" in out
    code, out, _ = command("-m", "norm=bn,ln", "rerun=all")
    assert code == 0
    one, two = sweeps()
    assert results(one) == results(two)
    names = [sorted(path.name for path in sweep.glob("*_*")) for sweep in (one, two)]
    assert names[0] == names[1], "rerun is no part of a name"
    command("-m", "norm=bn,in")
    assert len(sweeps()) == 3, "another sweep has another folder"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_sweep_with_the_table_of_what_is_done(
    number: int, code: int, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, epochs = Recorder.on_train_epoch_start, []

    def stop_in_the_fourth_epoch(self: Any, *args: Any) -> None:
        start(self, *args)
        epochs.append(1)
        if len(epochs) == 4:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Recorder, "on_train_epoch_start", stop_in_the_fourth_epoch)
    got, out, err = command("-m", "norm=bn,ln,in")
    (sweep,) = sweeps()
    assert got == code
    assert len(err.splitlines()) == 1
    assert "stopped: 1 of 3 jobs are done. The same command resumes it" in err
    assert [facts["status"] for facts in summaries(sweep).values()] == ["completed", "failed: interrupted"]
    assert "val acc %" in out, "the table"
    assert (sweep / "results.csv").is_file()

    got, out, err = command("-m", "norm=bn,ln,in")
    assert (got, err) == (0, "")
    assert len(epochs) == 4 + 1 + 2, "the second epoch of ln, and all of in"
    assert [facts["status"] for facts in summaries(sweep).values()] == ["completed"] * 3


@pytest.mark.slow
def test_a_sweep_that_was_killed_ends_as_an_undisturbed_one(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = ["-m", "norm=bn,ln", "seed=3", "trainer.max_epochs=6"]
    process = subprocess.Popen(
        [sys.executable, "-m", "src.train", *with_tiny(typed)],
        cwd=CONF_DIR.parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    last_epochs = 0
    for line in process.stdout:
        last_epochs += line.startswith("epoch 6/6")
        if last_epochs and line.startswith("epoch 3/6"):
            process.kill()
    process.wait()
    process.stdout.close()
    (killed,) = sweeps()
    assert [facts["status"] for facts in summaries(killed).values()] == ["completed", "running"]
    assert len(list(killed.glob("1_*/checkpoints/last.ckpt"))) == 1

    code, out, _ = command(*typed)
    assert code == 0
    assert sum(line.endswith(": done before") for line in out.splitlines()) == 1
    assert "resumes:    after step" in out
    assert "epoch 1/6" not in out
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path / "undisturbed"))
    assert command(*typed)[0] == 0
    (undisturbed,) = sweeps()
    assert results(killed) == results(undisturbed)


@pytest.mark.slow
def test_a_sweep_can_be_extended_in_its_folder(command: Command) -> None:
    command("-m", "norm=bn,ln", "seed=0")
    (sweep,) = sweeps()
    before = summaries(sweep)
    code, out, err = command("-m", "norm=in,bn,ln", "seed=0,1", f"hydra.sweep.dir={sweep}")
    assert (code, err) == (0, "")
    assert sum(line.endswith(": done before") for line in out.splitlines()) == 2
    found = summaries(sweep)
    assert len(found) == 6
    assert len(list(sweep.glob("[0-9]*_*"))) == 6, "jobs that are done elsewhere leave no empty folder"
    assert {name: facts for name, facts in found.items() if name in before} == before
    assert len({facts["identity"] for facts in found.values()}) == 6
    # another run under the name of one that is there does not touch it
    code, _, _ = command("-m", "norm=bn", "seed=0", "trainer.max_epochs=1", f"hydra.sweep.dir={sweep}")
    assert code == 0
    assert len(list(sweep.glob("*/summary.json"))) == 7


@pytest.mark.slow
def test_a_sweep_runs_in_one_process(command: Command) -> None:
    typed = ["-m", "norm=bn,ln"]
    command(*typed)
    (sweep,) = sweeps()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from src.config.lock import lock\n"
            f"held = lock(Path({str(sweep)!r})); print('held', flush=True); sys.stdin.read()",
        ],
        cwd=CONF_DIR.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    code, out, err = command(*typed)
    assert (code, out) == (2, "")
    assert err == (
        f"error: this sweep is running in another process, in {sweep}: wait for it, or begin another one in "
        f"a new folder with rerun=all.\n"
    )
    holder.kill()  # a dead process holds nothing
    holder.communicate()
    holder.stdout.close()
    assert command(*typed)[0] == 0


def test_a_named_comparison_is_a_whole_command(command: Command) -> None:
    code, out, _ = command("experiment=norms", "data=digits", "norm=ln,none", "seed=4")
    assert code == 0
    (sweep,) = sweeps()
    assert sweep.parent.parent.name == "norms"
    assert [facts["options"]["norm"] for facts in summaries(sweep).values()] == ["ln", "none"]
    assert {facts["seed"] for facts in summaries(sweep).values()} == {4}
    assert "sweep folder:" in out
