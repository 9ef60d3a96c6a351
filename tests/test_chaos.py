"""Faults of real processes, a few of each kind: `python -m tests.chaos` tries many more."""

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.disk import filled, small_disk
from tests.chaos.files import damaged_checkpoints
from tests.chaos.kills import TooLate, asked, killed
from tests.chaos.pipes import second_process
from tests.chaos.runs import VARIANTS, Bench
from tests.commands import Commands

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Commands() as commands:
        yield Bench(commands, tmp_path_factory.mktemp("chaos"))


@pytest.mark.parametrize(
    ("variant", "in_write"),
    [(0, True), (7, False), (13, True), (13, False)],
    ids=["bn-sgd-onecycle-saving", "bn-adamw-plateau-workers", "ln-adamw-saving", "ln-adamw"],
)
def test_a_killed_run_ends_as_an_undisturbed_one(
    variant: int, in_write: bool, bench: Bench, tmp_path: Path
) -> None:
    rng = random.Random(variant)
    for n in range(5):
        try:
            outcome = killed(bench, rng, VARIANTS[variant], tmp_path / str(n), in_write=in_write)
        except TooLate:
            continue
        assert outcome.lost == [], outcome.where
        return
    pytest.fail("five times the run was done before the kill")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGINT"])
def test_a_run_that_is_asked_to_end_saves_first(name: str, bench: Bench, tmp_path: Path) -> None:
    number = signal.Signals[name]
    seconds, outcome = asked(bench, random.Random(number), VARIANTS[13], tmp_path, number)
    assert outcome.lost == []
    assert seconds < 5


def test_a_damaged_checkpoint_never_gives_a_wrong_result(bench: Bench, tmp_path: Path) -> None:
    found = damaged_checkpoints(bench.whole(VARIANTS[0]), random.Random(0), tmp_path, times=200)
    assert found["detected"] + found["harmless"] == 200
    assert found["detected"] > 180


@pytest.mark.parametrize("left", [0, 100_000])
def test_a_full_disk_stops_a_run_that_goes_on_later(left: int, bench: Bench, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as mounted:
        if not mounted:
            pytest.skip("this process may not mount a small file system")
        assert filled(bench, random.Random(left), VARIANTS[0], tmp_path / "disk", left=left) == []


def test_a_second_process_is_sent_away(bench: Bench, tmp_path: Path) -> None:
    assert second_process(bench, VARIANTS[0], tmp_path) == []
