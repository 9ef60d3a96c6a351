import csv
import math
import statistics
from pathlib import Path

import pytest
from scipy import stats

from src.compare.leaderboard import Leaderboard, leaderboard
from src.compare.results import notes, terminal_notes, terminal_table, write_csv, write_markdown
from src.compare.runs import find_runs
from tests.made_runs import made_run

BN, LN, GN = (0.80, 0.82, 0.81), (0.85, 0.84, 0.86), (0.70, 0.69, 0.72)
SPEED = {"train_seconds": 10.0, "images_per_second": 500.0, "num_params": 1234567, "test/ece": 0.05}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Three norms with three seeds each, `in` with one, `none` that failed, `off` that is under way."""
    for norm, accuracies in {"bn": BN, "ln": LN, "gn": GN, "in": (0.99,)}.items():
        for seed, acc in enumerate(accuracies):
            # The test set would choose gn
            test = 0.9 + seed / 100 if norm == "gn" else acc - 0.01
            folder = tmp_path / f"{norm}_{seed}"
            made_run(
                folder, seed=seed, norm=norm, val=acc, test=test, **SPEED | {"train_seconds": 10.0 + seed}
            )
    made_run(tmp_path / "none_0", norm="none", status="failed: loss is nan", val=None, test=None)
    made_run(tmp_path / "none_1", norm="none", status="failed: loss is nan", seed=1, val=None, test=None)
    made_run(tmp_path / "off_0", norm="off", status="running", val=0.9, test=None)
    return tmp_path


def board_of(*places: Path) -> Leaderboard:
    return leaderboard(find_runs(places))


def without(sweep: Path, *norms: str) -> Leaderboard:
    return board_of(*(path for path in sweep.iterdir() if path.name.partition("_")[0] not in norms))


def test_ranks_by_mean_validation_accuracy_and_tests_against_the_leader(sweep: Path) -> None:
    board = without(sweep, "in")
    got = [(row.variant.values["norm"], row.rank) for row in board.rows]
    assert got == [("ln", 1), ("bn", 2), ("gn", 3), ("none", None), ("off", None)]
    p_bn, p_gn = (stats.ttest_rel(LN, other).pvalue for other in (BN, GN))
    assert board.comparisons == 2
    low, high = sorted((p_bn, p_gn))
    want = {low: 2 * low, high: max(2 * low, high)}
    assert [row.p for row in board.rows] == [
        None,
        pytest.approx(want[p_bn]),
        pytest.approx(want[p_gn]),
        None,
        None,
    ]
    assert [row.within_noise for row in board.rows] == [
        None,
        want[p_bn] >= 0.05,
        want[p_gn] >= 0.05,
        None,
        None,
    ]
    assert {row.within_noise for row in board.rows[1:3]} == {True, False}  # the example shows both


def test_a_row_has_means_intervals_and_the_best_seed(sweep: Path) -> None:
    row = without(sweep, "in").rows[1]
    half = stats.t.ppf(0.975, 2) * statistics.stdev(BN) / math.sqrt(3)
    assert (row.val_acc.mean, row.val_acc.half_width) == (pytest.approx(0.81), pytest.approx(half))
    assert (row.test_acc.mean, row.n) == (pytest.approx(0.80), 3)
    assert (row.best.summary.seed, row.best.summary.numbers["test/acc"]) == (1, pytest.approx(0.81))
    assert row.numbers["train_seconds"] == pytest.approx(11.0)
    assert row.numbers["num_params"] == 1234567


def test_one_seed_leads_without_an_interval_and_nothing_can_be_told_from_it(sweep: Path) -> None:
    board = board_of(sweep)
    assert [(row.variant.values["norm"], row.p) for row in board.rows[:2]] == [("in", None), ("ln", None)]
    assert board.rows[0].val_acc.half_width is None
    assert board.comparisons == 0
    assert "cannot tell" in terminal_table(board).splitlines()[2]
    assert any(note.startswith("cannot tell: one seed") for note in notes(board))


def test_runs_without_validation_are_listed_behind(tmp_path: Path) -> None:
    made_run(tmp_path / "0", norm="ln", val=None, test=0.99)
    made_run(tmp_path / "1", norm="bn", val=0.5)
    board = board_of(tmp_path)
    assert [(row.variant.name, row.rank) for row in board.rows] == [("norm=bn", 1), ("norm=ln", None)]
    assert "norm=ln: no validation accuracy, so not ranked." in notes(board)


def test_the_settled_update_is_the_median_over_seeds_of_the_whole_networks(tmp_path: Path) -> None:
    for seed, last in enumerate((1e-3, 3e-3, 2e-3)):
        folder = made_run(tmp_path / str(seed), seed=seed)
        values = [0.5] * 6 + [last, last]  # the last quarter of eight
        lines = [
            f"{50 * k},{layer},{v}" for k, v in enumerate(values) for layer, v in (("conv", 9), ("all", v))
        ]
        (folder / "updates.csv").write_text("\n".join(["step,layer,update", *lines]))
    assert board_of(tmp_path).rows[0].update == pytest.approx(2e-3)
    (tmp_path / "1" / "updates.csv").write_text("step,layer,update\n0,all,")  # half-written
    assert board_of(tmp_path).rows[0].update == pytest.approx(1.5e-3)


def test_the_table(sweep: Path) -> None:
    board = without(sweep, "in", "off")
    p = [f"{board.rows[k].p:.2g}" for k in (1, 2)]
    rest = "11.0  500  1,234,567  0.0500"
    head, *rows = collapsed(terminal_table(board))
    assert head.startswith(
        "#  norm  n  val acc %  vs #1  test acc %  best seed  time s  images/s  parameters  ECE"
    )
    assert rows == [
        f"1  ln  3  85.00 ± 2.48  84.00 ± 2.48  86.00 (2)  {rest}",
        f"2  bn  3  81.00 ± 2.48  ≈ p={p[0]}  80.00 ± 2.48  82.00 (1)  {rest}",
        f"3  gn  3  70.33 ± 3.79  p={p[1]}  91.00 ± 2.48  72.00 (2)  {rest}",
        "-  none  0  2 failed",
    ]
    assert "norm=none: seed 0, 1 failed: loss is nan" in notes(board)


def collapsed(table: str) -> list[str]:
    """Lines with two spaces between cells."""
    return [
        "  ".join(cell.strip() for cell in line.split("  ") if cell.strip()) for line in table.splitlines()
    ]


def test_a_narrow_table_loses_what_matters_least_and_never_the_accuracy(sweep: Path) -> None:
    board = board_of(sweep)
    for width in (120, 100, 80, 60, 40):
        table = terminal_table(board, width)
        assert max(map(len, table.splitlines())) <= width, width
        assert "val acc %" in table
    assert "ECE" not in terminal_table(board, 100).splitlines()[0]
    assert "norm" in terminal_table(board, 40).splitlines()[0]
    assert "too wide for here: ECE, parameters; see" in terminal_table(board, 100)
    assert terminal_table(board, 1).startswith("#  val acc %\n1  99.00\n2  85.00 ± 2.48\n")
    short = terminal_table(board, lines=2).splitlines()
    assert short[-1] == "… and 4 more: see results.md"
    assert len(short) == 4
    assert max(map(len, terminal_notes(board).splitlines())) <= 120


def test_results_csv_has_full_precision_and_the_runs(sweep: Path) -> None:
    out = sweep / "my results"
    out.mkdir()
    write_csv(without(sweep, "in", "my results"), out)
    with (out / "results.csv").open(newline="") as file:
        rows = {row["norm"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["ln", "bn", "gn", "none", "off"]
    assert float(rows["gn"]["val/acc"]) == pytest.approx(statistics.fmean(GN), abs=1e-15)
    half = stats.t.ppf(0.975, 2) * statistics.stdev(GN) / math.sqrt(3)
    assert float(rows["gn"]["val/acc_ci95"]) == pytest.approx(half, abs=1e-12)
    assert (rows["gn"]["seeds"], rows["gn"]["best_seed"], rows["gn"]["best_test/acc"]) == (
        "0 1 2",
        "2",
        "0.92",
    )
    folders = [(out / run).resolve().name for run in rows["gn"]["runs"].split("; ")]
    assert folders == ["gn_0", "gn_1", "gn_2"]
    assert (rows["none"]["rank"], rows["none"]["failed"]) == ("", "2")
    assert rows["none"]["failures"] == "seed 0: loss is nan; seed 1: loss is nan"
    assert rows["off"]["running"] == "1"
    assert [path.name for path in out.iterdir()] == ["results.csv"]  # no temporary file stays


def test_results_md_is_a_table_with_links_that_lead_to_the_runs(sweep: Path) -> None:
    made_run(sweep / "a space, an=equals" / "x|y", norm="x|y", val=0.1)
    write_markdown(without(sweep, "in"), sweep)
    lines = (sweep / "results.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert {line.replace(r"\|", "").count("|") for line in table} == {table[0].count("|")}
    assert table[1].startswith("| ---: | --- | ---: | --- | --- |")
    assert "| 3 | gn | 3 | 70.33 ± 3.79 |" in table[4]
    assert "[0](gn_0) [1](gn_1) [2](gn_2) |" in table[4]
    assert r"| x\|y |" in table[5]
    assert "(a%20space,%20an=equals/x%7Cy)" in table[5]
    assert "- norm=none: seed 0, 1 failed: loss is nan" in lines


def test_a_repeated_seed_is_told(tmp_path: Path) -> None:
    for name in "ab":
        made_run(tmp_path / name)
    board = board_of(tmp_path)
    assert board.rows[0].n == 1
    assert "all: 1 repeated; of each seed, the newest completed run is counted." in notes(board)


def test_unlike_validation_images_are_told(tmp_path: Path) -> None:
    made_run(tmp_path / "0", config={"data.num_val": 100})
    assert not any("same images" in note for note in notes(board_of(tmp_path)))
    made_run(tmp_path / "1", config={"data.num_val": 200})
    assert any("not validated on the same images" in note for note in notes(board_of(tmp_path)))
