"""`python -m src.compare` from its arguments to its files."""

import subprocess
import sys
from pathlib import Path

import pytest

from src.compare.command import conclude, main, places_and_out
from src.config.errors import ConfigError
from tests.made_runs import made_run


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "multiruns" / "261122-1000"
    for number, (norm, seed) in enumerate((n, s) for n in ("bn", "ln") for s in (0, 1)):
        acc = 0.5 + 0.2 * (norm == "ln") + 0.01 * seed * (number + 1)
        curves = {"val/acc": [0.1, acc]}
        made_run(folder / f"{number}_norm={norm},seed={seed}", norm=norm, seed=seed, val=acc, curves=curves)
    return folder


def test_a_sweep_gets_its_results_in_its_own_folder(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):  # the second comparison does not stumble over the first one's files
        assert main([str(sweep)]) == 0
    said = capsys.readouterr().out
    assert [line.split()[:2] for line in said.splitlines()[2:4]] == [["1", "ln"], ["2", "bn"]]
    assert "report.html" in said
    left = {path.name for path in sweep.iterdir() if not path.name[0].isdecimal()}
    assert left == {"report.html", "results.csv", "results.md"}


def test_other_places_get_a_new_folder(sweep: Path, tmp_path: Path) -> None:
    runs = sorted(str(path) for path in sweep.iterdir())
    places, out = places_and_out(runs[:2])
    assert places == runs[:2]
    assert out.parent == tmp_path / "outputs" / "compare"
    assert places_and_out([str(sweep), str(sweep)])[1].parent == out.parent
    assert places_and_out([f"{sweep}/*norm=ln*", f"out={tmp_path}/a=b"]) == (
        [f"{sweep}/*norm=ln*"],
        tmp_path / "a=b",
    )


def test_a_folder_whose_name_looks_like_an_option_is_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_run(tmp_path / "out=here" / "lr=0.1,seed=0")
    monkeypatch.chdir(tmp_path)
    assert places_and_out(["out=here", "out=there"]) == (["out=here"], Path("there"))
    assert places_and_out(["out=here/lr=0.1,seed=0", "out=x"]) == (["out=here/lr=0.1,seed=0"], Path("x"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "what should be compared"),
        (["nowhere"], "no folder or glob is called 'nowhere'"),
        (["SWEEP", "metric=x"], "no folder or glob is called 'metric=x'"),
        (["SWEEP/*/none"], "no folder or glob is called"),
        (["EMPTY"], "no runs in .*empty"),
        (["SWEEP", "out=SWEEP/0_norm=bn,seed=0/summary.json"], "is a file: give a folder"),
    ],
)
def test_wrong_arguments_are_one_line_and_leave_nothing(
    args: list[str], message: str, sweep: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    given = [arg.replace("SWEEP", str(sweep)).replace("EMPTY", str(tmp_path / "empty")) for arg in args]
    with pytest.raises(ConfigError, match=message) as caught:
        places_and_out(given)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "outputs").exists()


def test_a_mistyped_folder_ends_with_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "src.compare", str(tmp_path / "nope")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no folder or glob is called")
    assert done.stderr.count("\n") == 1


def test_conclude_outlives_broken_runs(sweep: Path, tmp_path: Path) -> None:
    made_run(sweep / "4_half") / "config.json"
    (sweep / "4_half" / "summary.json").write_text('{"stat')
    (sweep / "3_norm=ln,seed=1" / "metrics.csv").write_text("\0")
    board = conclude([sweep], tmp_path / "out")
    assert [(row.variant.name, row.n) for row in board.rows] == [("norm=ln", 2), ("norm=bn", 2)]
    assert conclude([tmp_path / "nothing"], tmp_path / "out2") is None
    assert not (tmp_path / "out2").exists()
