"""How commands begin and end: names that must work, streams that close, folders that cannot be written to."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from src.command import Arguments, command, enter, results_in
from src.config.errors import ConfigError
from src.notebook import compose
from src.signals import Terminated
from tests.bad_inputs import CASES, RUN, make_run
from tests.commands import ROOT, Commands, Done

ODD = "'my runs', lr=0.1 [ü] $HOME & 'x'"
HEAVY = ["data=digits", "model.width=8", "trainer=cpu", "logger=none", "callbacks=none", "data.num_classes=9"]


@pytest.fixture(scope="module")
def finished(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("finished") / "run"
    make_run(commands, place)
    return place


def well(done: Done) -> str:
    """What a command says that has worked."""
    assert done.code == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_any_name_of_a_folder_works(commands: Commands, tmp_path: Path) -> None:
    place = tmp_path / ODD
    env = {"OUTPUT_DIR": str(place), "OMP_NUM_THREADS": "1"}
    well(commands.run("src.train", *RUN, "scheduler=constant", env=env))
    (run,) = (place / "quickstart" / "runs").iterdir()
    well(commands.run("src.train", f"ckpt_path={run}", "trainer.max_epochs=2", env=env))
    second = sorted((place / "quickstart" / "runs").iterdir(), key=lambda path: path.stat().st_mtime)[-1]
    assert json.loads((second / "summary.json").read_text())["epochs"] == 2
    well(commands.run("src.evaluate", f"run={run}", "callbacks=none", "logger=none", env=env))
    well(commands.run("src.explain", f"run={run}", "images=0", f"out={place / 'sheets'}", env=env))
    well(commands.run("src.explain", f"run={run}", f"images={place / 'sheets' / 'test_0.png'}", env=env))
    well(commands.run("src.landscape", f"run={run}", "points=3", "images=16", env=env))
    own = place / "'own'"
    shutil.copytree(run, own)  # a name that begins and ends with a quote
    well(commands.run("src.evaluate", f"run={own}", "callbacks=none", "logger=none", env=env))
    well(commands.run("src.compare", str(place), f"out={place / 'all of it'}", env=env))
    assert (place / "all of it" / "report.html").is_file()
    sweep = ["-m", *RUN, "seed=0,1", "trainer.limit_val_batches=1", "trainer.limit_test_batches=1"]
    well(commands.run("src.train", *sweep, env=env))
    assert "all 2 jobs of this sweep were done before" in well(commands.run("src.train", *sweep, env=env))


NAMES = (
    "compare",
    "estimate",
    "evaluate",
    "explain",
    "find_lr",
    "landscape",
    "plot_schedule",
    "train",
    "tune",
)


@pytest.mark.parametrize("name", NAMES)
def test_help_into_a_pipe_that_closes_ends_silently(name: str) -> None:
    ours, theirs = os.pipe()
    os.close(ours)  # as `| head` leaves it, but surely before anything is written
    with open(theirs, "w") as pipe:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", f"src.{name}", "--help"],
            cwd=ROOT,
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.stderr == b""
    assert done.returncode == 128 + 13


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_stream_loses_neither_the_line_nor_the_exit_code(closed: str) -> None:
    typed = f"{sys.executable} -m src.train norm=lm {closed}"
    done = subprocess.run(["bash", "-c", typed], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.startswith("error: norm=lm does not exist.")


@pytest.mark.slow
def test_a_training_whose_reader_is_gone_goes_on(tmp_path: Path) -> None:
    typed = [sys.executable, "-m", "src.train", *RUN, "trainer.max_epochs=2"]
    ours, theirs = os.pipe()
    os.close(ours)
    with open(theirs, "w") as pipe:  # noqa: PTH123
        env = os.environ | {"OUTPUT_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            typed, cwd=ROOT, env=env, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False
        )
    (folder,) = (tmp_path / "quickstart" / "runs").iterdir()
    facts = json.loads((folder / "summary.json").read_text())
    assert (facts["status"], facts["epochs"]) == ("completed", 2)
    assert "epoch 2/2" in (folder / "train.log").read_text()
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_read_only_disk_is_told_in_one_line(commands: Commands, finished: Path, tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if (
        not mount
        or subprocess.run([mount, "-t", "tmpfs", "-o", "ro", "tmpfs", place], check=False).returncode
    ):
        pytest.skip("mounting a read-only disk is not permitted here")
    try:
        for code, typed in (
            (1, ["src.train", *RUN]),
            (2, ["src.train", "-m", *RUN, "seed=0,1"]),
            (2, ["src.evaluate", f"run={finished}", f"out={place}/x"]),
            (1, ["src.compare", str(finished)]),
            (2, ["src.find_lr", *RUN]),
            (2, ["src.tune", "experiment=quickstart"]),
        ):
            done = commands.run(*typed, env={"OUTPUT_DIR": str(place)})
            assert done.code in (code, 2), done.stdout + done.stderr
            (line,) = (done.stdout + done.stderr).splitlines()
            assert line.startswith("error: ")
            assert "Read-only file system): give a folder that can be written to" in line
        # what can be read there can be used
        subprocess.run([mount, "-o", "remount,rw", place], check=True)
        shutil.copytree(finished, place / "run")
        subprocess.run([mount, "-o", "remount,ro", place], check=True)
        done = commands.run("src.evaluate", f"run={place}/run")
        assert (done.code, len(done.stderr.splitlines())) == (2, 1)
        well(
            commands.run(
                "src.evaluate", f"run={place}/run", f"out={tmp_path}/o", "callbacks=none", "logger=none"
            )
        )
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize(
    "how", [["debug=fast"], ["debug=overfit"], ["debug=profile"], ["traceback=true"], []]
)
def test_the_traceback_is_shown_to_those_who_ask(how: list[str], commands: Commands, tmp_path: Path) -> None:
    done = commands.run("src.train", *HEAVY, *how, env={"OUTPUT_DIR": str(tmp_path)})
    assert done.code == 1
    assert done.stdout.count("Traceback (most recent call last)") == bool(how)
    assert "error: data.num_classes=9, but" in done.stdout.splitlines()[-1]
    assert len(list(tmp_path.rglob("traceback.txt"))) == 1
    done = commands.run("src.estimate", *HEAVY, *how, env={"OUTPUT_DIR": str(tmp_path)})
    assert done.code == 1
    assert done.stderr.count("Traceback (most recent call last)") == bool(how)


def test_a_mistake_that_nobody_has_foreseen_is_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(_: Sequence[str]) -> int:
        raise KeyError("no\nsuch")

    for wanted, shown in (("", 0), ("1", 1)):
        monkeypatch.setenv("HYDRA_FULL_ERROR", wanted)
        with pytest.raises(SystemExit) as stopped:
            enter(main)
        assert stopped.value.code == 1
        said = capsys.readouterr().err
        assert said.count("Traceback") == shown
        assert said.splitlines()[-1].startswith("error: KeyError: 'no")
        assert len(said.splitlines()) == 1 or shown


IN_PROCESS = [
    bad.command
    for kind in ("Names", "Types and ranges", "Devices")
    for bad in CASES[kind]
    if bad.command.startswith("train ") and bad.code == 2 and " -" not in bad.command
]


@pytest.mark.parametrize("command", IN_PROCESS[::3], ids=lambda command: command[:60])
def test_a_notebook_is_told_the_same(command: str, commands: Commands) -> None:
    _, *args = shlex.split(command)
    with pytest.raises(ConfigError) as caught:
        compose(*args)
    assert commands.run("src.train", *args).stderr == f"error: {caught.value}\n"


def test_a_signal_that_a_training_has_answered_gives_its_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def asked_to_end(_: Sequence[str]) -> int:
        raise Terminated(signal.SIGTERM)

    with pytest.raises(SystemExit) as stopped:
        enter(asked_to_end)
    assert stopped.value.code == 143
    assert capsys.readouterr().err == ""


def test_arguments_end_with_2_and_work_with_1_and_a_closed_pipe_is_neither(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []

    @command("the help", {"out": str(tmp_path), "raises": ""}, flags=["-m"])
    def main(given: Arguments) -> int:
        seen.append(given)
        if given.flags:
            raise BrokenPipeError
        if not given.own["raises"]:
            raise OSError("no such place")
        with results_in(Path(given.own["out"]), "work.log"):
            raise ConfigError("that late")
        return 0

    assert main(["norm=ln", "--help"]) == 0
    assert (capsys.readouterr().out, seen) == ("the help\n", [])
    for args in (["nonsense"], ["norm=ln"]):
        with pytest.raises(SystemExit) as stopped:
            main(args)
        assert stopped.value.code == 2
    refused, failed = capsys.readouterr().err.splitlines()
    assert refused.startswith("error: cannot read 'nonsense'")
    assert failed == "error: no such place"
    assert main(["raises=late", "norm=ln"]) == 1
    assert seen[-1].overrides == ["norm=ln"]
    assert (tmp_path / "work.log").read_text().startswith("error: that late (details: ")
    assert "ConfigError" in (tmp_path / "traceback.txt").read_text()
    with pytest.raises(BrokenPipeError):
        main(["-m"])
