"""Bad input gets one line that says what is wrong and what to do, and costs nothing that was there."""

from pathlib import Path

import pytest

from tests.bad_inputs import CASES, PAGE, Bad, Outcome, make_run, outcome, page
from tests.commands import Commands

ALL = [bad for cases in CASES.values() for bad in cases]
found: dict[int, Outcome] = {}  # by the case; the page at the end is made of them


@pytest.fixture(scope="module")
def finished(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("finished") / "run"
    make_run(commands, place)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("bad", ALL, ids=[f"{k}-{bad.command[:60]}" for k, bad in enumerate(ALL)])
def test_bad_input_is_told_in_one_line(bad: Bad, commands: Commands, finished: Path, tmp_path: Path) -> None:
    one = found[id(bad)] = outcome(bad, commands, finished, tmp_path)
    said = one.done.stdout + one.done.stderr
    assert one.done.code == bad.code, said
    assert bad.words in one.line
    assert said.count("error: ") == 1
    assert "Traceback" not in said
    assert one.lost == []
    if bad.code == 2:
        assert one.done.stdout == ""
        assert one.done.stderr == one.done.stderr.splitlines()[0] + "\n"


@pytest.mark.slow
def test_the_page_is_what_the_commands_say(commands: Commands, finished: Path, tmp_path: Path) -> None:
    for number, bad in enumerate(ALL):
        if id(bad) not in found:  # this test runs alone
            (tmp_path / str(number)).mkdir()
            found[id(bad)] = outcome(bad, commands, finished, tmp_path / str(number))
    outcomes = [found[id(bad)] for bad in ALL]
    assert page(outcomes) == PAGE.read_text(encoding="utf-8"), "python -m tests.bad_inputs writes it again"
