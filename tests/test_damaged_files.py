"""Single bytes of what a run leaves are changed, and files are cut: it is told, or it changes nothing."""

import csv
import json
import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution

from src.compare.atlas import plan_atlas
from src.compare.histories import read_history
from src.compare.leaderboard import leaderboard
from src.compare.results import write_csv
from src.compare.runs import find_runs
from src.config.checked_json import dump_checked, load_checked
from src.config.errors import ConfigError
from src.config.finished import read_config
from src.config.identity import identity
from src.config.multirun import opening
from src.config.sweep import Sweep, read, runs_in
from src.data.cifar import cifar
from src.notebook import compose
from src.runs.folder import save_config
from src.runs.summary import read_summary
from src.tune.command import begin
from tests.made_runs import made_run

TIMES = 200


def damaged(whole: bytes, times: int) -> Iterator[bytes]:
    """A file with another byte at a random place, or, every fourth time, cut there; the same each time."""
    draw = random.Random(0)
    for time in range(times):
        at = draw.randrange(len(whole))
        other = bytes([whole[at] ^ draw.randrange(1, 256)])
        yield whole[:at] if time % 4 == 3 else whole[:at] + other + whole[at + 1 :]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with runs of two variants, with all that their tables are made of."""
    rows = [{"index": k, "label": k % 3, "prediction": k % 2, "confidence": 0.5 + k / 99} for k in range(40)]
    for norm in ("bn", "ln"):
        for seed in (0, 1):
            values = [0.1 + 0.01 * seed, 0.2, 0.3]
            run = made_run(
                tmp_path / "runs" / f"{norm}{seed}",
                seed=seed,
                norm=norm,
                val=0.5 + 0.1 * seed,
                curves={"val/acc": values, "train/loss": values, "lr-SGD": values},
                train_seconds=12.5,
                num_params=1234,
            )
            config = json.loads((run / "config.json").read_text())
            facts = read_summary(run) | {"identity": identity(config)}
            (run / "summary.json").write_text(dump_checked(facts), encoding="utf-8")
            table(
                run / "predictions.csv", [row | {"label_name": "a", "prediction_name": "b"} for row in rows]
            )
            table(run / "updates.csv", [{"step": 9 * k, "layer": "all", "update": 1e-3} for k in range(4)])
    return tmp_path / "runs"


def table(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def results(folder: Path) -> bytes:
    """The table that a comparison leaves."""
    write_csv(leaderboard(find_runs([folder])), folder)
    return (folder / "results.csv").read_bytes()


@pytest.mark.parametrize("name", ["summary.json", "config.json"])
def test_a_damaged_run_is_named_and_no_wrong_number_gets_into_the_table(
    name: str, runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = runs / "bn1" / name
    want, whole = results(runs), path.read_bytes()
    (runs / "bn1").rename(elsewhere := runs.parent / "elsewhere")
    without = results(runs)
    elsewhere.rename(runs / "bn1")
    assert without != want
    detected = harmless = 0
    for content in damaged(whole, TIMES):
        path.write_bytes(content)
        caplog.clear()
        got = results(runs)
        told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        if got == want and not told:
            harmless += 1
            continue
        (line,) = told
        assert line.startswith(f"left out {runs / 'bn1'}: {name} is damaged")
        assert "\n" not in line
        assert got == without
        detected += 1
    print(f"{name}: of {TIMES} damages {detected} were told and {harmless} changed nothing")
    assert detected + harmless == TIMES
    assert detected >= 0.9 * TIMES


def test_a_summary_says_what_is_wrong_with_it_and_older_ones_are_taken_as_they_are(runs: Path) -> None:
    run = runs / "bn0"
    path = run / "summary.json"
    whole = path.read_text()
    assert "checksum" in whole
    assert "checksum" not in read_summary(run)
    path.write_text(whole.replace('"val/acc": 0.5', '"val/acc": 0.9'))
    with pytest.raises(
        ValueError, match=r"^summary.json is damaged \(its checksum differs\)\. .*src\.evaluate run="
    ):
        read_summary(run)
    assert read(path) == {}
    path.write_text(whole[:-9])
    with pytest.raises(ValueError, match=r"^summary.json is damaged \(it is not JSON: "):
        read_summary(run)
    path.write_text("[1]")
    with pytest.raises(ValueError, match=r"^summary.json is damaged \(it holds no dict\)"):
        read_summary(run)
    older = json.loads(whole)
    del older["checksum"]
    path.write_text(json.dumps(older | {"val/acc": 0.9}))
    assert read_summary(run)["val/acc"] == 0.9
    assert runs_in(runs)[run]["val/acc"] == 0.9


def test_a_sweep_says_which_job_it_trains_anew(runs: Path) -> None:
    with (runs.parent / "lock").open("w") as locked:
        sweep = Sweep(runs, ["a", "b", "c", "d"], locked)
        assert opening(sweep).startswith(f"all 4 jobs of this sweep were done before, in {runs}")
        (runs / "ln0" / "summary.json").write_text("{")
        told, goes_on = opening(sweep).splitlines()
        assert told.startswith(f"{runs / 'ln0'}: summary.json is damaged: ")
        assert told.endswith(" its job is trained again.")
        assert goes_on == f"sweep folder: {runs} resumes: 3 of 4 jobs are done"


def test_sealed_by_hand() -> None:
    # printf '{"10":"\\u00fc","a":{"b":[1,2.5,null]}}' | sha256sum
    content = {"a": {"b": (1, 2.5, None)}, 10: "ü"}
    want = "74d7820e51e71a80941986ab4ce5cd978743d407332fd4f52871930eafed1381"
    assert json.loads(dump_checked(content))["checksum"] == want
    assert load_checked(dump_checked(content)) == {"a": {"b": [1, 2.5, None]}, "10": "ü"}
    assert load_checked(json.dumps({"checksum": want, "10": "ü", "a": {"b": [1, 2.5, None]}}))


@pytest.mark.parametrize("name", ["metrics.csv", "predictions.csv", "updates.csv"])
def test_a_damaged_table_ends_in_no_traceback(name: str, runs: Path) -> None:
    path = runs / "bn1" / name

    def reading() -> str:
        board = leaderboard(find_runs([runs]))
        found = [read_history(run) for row in board.rows for run in row.variant.runs]
        return str([board, found, plan_atlas([row.variant for row in board.rows])])

    want, whole = reading(), path.read_bytes()
    changed = 0
    for content in damaged(whole, TIMES // 2):
        path.write_bytes(content)
        changed += reading() != want
    assert changed > TIMES // 10


def test_a_damaged_configuration_is_read_or_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    save_config(compose("data=digits", "paths.run_dir=.").cfg, [], tmp_path)
    path = tmp_path / ".hydra" / "config.yaml"
    whole = path.read_bytes()
    refused = []
    for content in damaged(whole, TIMES):
        path.write_bytes(content)
        try:
            read_config(tmp_path)
        except ConfigError as error:
            refused.append(str(error))
    assert len(refused) > TIMES // 10
    assert not any("\n" in line for line in refused)


def test_a_damaged_study_is_told_or_is_the_same(tmp_path: Path) -> None:
    space = {"optimizer.lr": FloatDistribution(0.001, 0.5, log=True)}
    begin(tmp_path, "abc", "python -m src.tune", space)
    path = tmp_path / "study.json"
    told = 0
    for content in damaged(path.read_bytes(), TIMES // 2):
        path.write_bytes(content)
        try:
            begin(tmp_path, "abc", "python -m src.tune", space)
        except ConfigError as error:
            told += "study.json is damaged (" in str(error)
    assert told >= 0.9 * TIMES // 2


def test_a_damaged_cifar_file_is_always_found(fake_cifar: Path) -> None:
    path = fake_cifar / "cifar-10-batches-py" / "data_batch_2"
    detected = 0
    for content in damaged(path.read_bytes(), TIMES):
        path.write_bytes(content)
        with pytest.raises(
            FileNotFoundError, match="data_batch_2 missing or damaged; data.download is false"
        ):
            cifar("cifar10", root=str(fake_cifar), download=False)
        detected += 1
    assert detected == TIMES
