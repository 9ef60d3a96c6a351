"""report.html: its numbers from hand-made runs, and the page in a browser without a network."""

import csv
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from src.compare.about import settings
from src.compare.atlas import plan_atlas
from src.compare.charts import VariantHistory, color, cost_charts, dash, learning_curves, step_charts
from src.compare.classes import class_table
from src.compare.histories import read_history
from src.compare.leaderboard import leaderboard
from src.compare.report import write_report
from src.compare.runs import Run, find_runs
from src.runs.summary import RunSummary, Status
from tests.compare.browser import needs_browser, opened
from tests.made_runs import made_run

HOSTILE = "<script>document.title='hacked'</script>"
MACS, IMAGES_AN_EPOCH = 10**9, 200_000  # 6 * 1e9 * 2e5 = 1.2 PFLOP an epoch
NAMES = ("ant", "bee")


def hand_made(
    sweep: Path, norm: str, seed: int, acc: list[float], *, said: str = "", status: str = "completed"
) -> Path:
    """A run's folder with an epoch for each accuracy, ten seconds and five steps long (one more for seed 1).

    `said` has a letter for each image: `a` and `b` are right answers of that class, `A` and `B`
    wrong ones; the image's number counts up its confidence by 1 %.
    """
    folder = sweep / f"{norm.strip('<>/').replace('/', '')}, 100%#{seed}=x"
    best = {"val": max(acc), "test": 1 - max(acc)} if acc else {"val": None, "test": None}
    cost = {"epochs": len(acc), "macs": MACS, "train_images": IMAGES_AN_EPOCH * len(acc), "num_params": 5}
    made_run(folder, seed=seed, norm=norm, status=status, **best, **cost)
    length = 5 + seed
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(
            file, ["epoch", "lr-SGD", "step", "train/loss", "train/seconds", "val/acc", "val/loss"]
        )
        writer.writeheader()
        for epoch, value in enumerate(acc):
            step = (epoch + 1) * length - 1
            writer.writerow({"lr-SGD": 0.1 / (epoch + 1), "step": step})
            writer.writerow({"epoch": epoch, "step": step, "val/acc": value, "val/loss": 2 - value})
            times = {"train/loss": 3 - value, "train/seconds": (10 + seed) * (epoch + 1)}
            writer.writerow({"epoch": epoch, "step": step, **times})
    (folder / "updates.csv").write_text("step,layer,update\n0,all,0\n0,conv,9\n50,conv,9\n50,all,0.25\n")
    rows = ["index,label,prediction,confidence,label_name,prediction_name"]
    for k, sign in enumerate(said):
        label = "ab".index(sign.lower())
        guess = 1 - label if sign.isupper() else label
        rows.append(f"{k},{label},{guess},{0.5 + k / 100},{NAMES[label]},{NAMES[guess]}")
    if said:
        (folder / "predictions.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """`ln` is best, then `bn`; the third lacks predictions and has a failed run; `gn` has no other."""
    folder = tmp_path / "my sweep"
    hand_made(folder, "bn", 0, [0.2, 0.4, 0.5], said="aabbAB")
    hand_made(folder, "bn", 1, [0.4, 0.6, 0.7], said="aaBbAB")
    hand_made(folder, "ln", 0, [0.3, 0.5, 0.8], said="aAbbAB")
    hand_made(folder, "ln", 1, [0.5, 0.7, 0.9], said="aAbbAB")
    hand_made(folder, HOSTILE, 0, [0.1])
    hand_made(folder, HOSTILE, 1, [], status="failed: no <b>memory</b>")
    hand_made(folder, "gn", 0, [], status="failed: out of patience")
    return folder


def told(sweep: Path) -> list[VariantHistory]:
    rows = leaderboard(find_runs([sweep])).rows
    return [
        VariantHistory(row.variant.name, k, [read_history(run) for run in row.variant.counted])
        for k, row in enumerate(rows)
    ]


def traces(figure: Any) -> dict[str, Any]:
    """The lines of a chart by name, without bands."""
    return {trace.name: trace for trace in figure.data if trace.customdata is not None}


def test_curves_have_the_means_and_ranges_of_the_csv_files(sweep: Path) -> None:
    charts = {chart.title: traces(chart.figure) for chart in learning_curves(told(sweep))}
    line = charts["Validation accuracy"]["norm=bn"]
    assert line.x == (1, 2, 3)
    assert line.y == pytest.approx([30, 50, 60])
    assert [list(row) for row in line.customdata] == [
        pytest.approx(row) for row in ([20, 40, 2], [40, 60, 2], [50, 70, 2])
    ]
    assert charts["Training loss"]["norm=ln"].y == pytest.approx([2.6, 2.4, 2.15])
    assert "Training accuracy" not in charts  # the files have none


def test_settings_are_those_of_the_run() -> None:
    config = {"optimizer.lr": 0.001, "optimizer.betas.0": 0.9, "optimizer.betas.1": 0.999}
    config |= {"trainer.gradient_clip_val": 0.1, "trainer.gradient_clip_algorithm": "value"}
    found = settings(Run(Path(), RunSummary(Status.COMPLETED, options={"optimizer": "adam"}), config))
    assert [
        found[key] for key in ("optimizer", "learning rate", "momentum or betas", "gradient clipping")
    ] == [*("adam", "0.001", "0.9, 0.999", "0.1 by value")]
    assert found["weight decay"] == ""
    found = settings(
        Run(
            Path(),
            RunSummary(Status.COMPLETED),
            {"optimizer.momentum": 0.9, "trainer.gradient_clip_val": None},
        )
    )
    assert (found["momentum or betas"], found["gradient clipping"], found["optimizer"]) == ("0.9", "none", "")


def test_no_two_of_twelve_variants_look_alike() -> None:
    assert len({(color(rank), dash(rank)) for rank in range(12)}) == 12


def test_cost_is_mean_time_and_six_operations_a_mac(sweep: Path) -> None:
    time, compute = (traces(chart.figure)["norm=bn"] for chart in cost_charts(told(sweep)))
    assert time.x == pytest.approx([10.5, 21, 31.5])  # seconds: seed 0 needs 10 an epoch, seed 1 11
    assert compute.x == pytest.approx([1.2, 2.4, 3.6])  # PFLOP
    assert time.y == compute.y == pytest.approx([30, 50, 60])


def test_rates_and_updates_are_by_step_of_the_whole_network(sweep: Path) -> None:
    rate, update = (traces(chart.figure)["norm=bn"] for chart in step_charts(told(sweep)))
    assert rate.x == (4, 5, 9, 11, 14, 17)  # epochs of 5 steps, and of 6
    assert rate.y == (0.1, 0.1, 0.05, 0.05, 0.033333, 0.033333)
    assert (update.x, update.y) == ((50,), (0.25,))  # the step at a learning rate of 0 has no logarithm


def test_classes_are_told_beside_the_leader(sweep: Path) -> None:
    from src.runs.predictions import read_answers

    rows = leaderboard(find_runs([sweep])).rows[:2]
    table = class_table(
        [[read_answers(run.folder / "predictions.csv") for run in row.variant.counted] for row in rows]
    )
    assert table.names == ["ant", "bee"]
    (ant_ln, ant_bn), (bee_ln, bee_bn) = table.rows
    # Of three ants, ln gets one in each run and bn two; of three bees, ln two in each run, bn two and one
    assert (ant_ln.accuracy, ant_ln.points) == (pytest.approx(100 / 3), 0)
    assert (ant_bn.points, ant_bn.share) == (pytest.approx(100 / 3), 100)
    assert (bee_ln.accuracy, bee_bn.points) == (pytest.approx(200 / 3), pytest.approx(-50 / 3))
    assert bee_bn.share == pytest.approx(50)


def test_the_atlas_is_made_of_the_runs_predictions(sweep: Path) -> None:
    atlas = plan_atlas([row.variant for row in leaderboard(find_runs([sweep])).rows])
    assert [(s.alone, s.right, s.num_images, [row.index for row in s.rows]) for s in atlas.shelves] == [
        (None, False, 2, [5, 4]),
        (0, False, 1, [1]),  # ln alone fails; image 2 fails in one run of bn only
    ]
    cells = atlas.shelves[1].rows[0].cells
    assert [(cell.prediction, cell.confidence, cell.right) for cell in cells] == [
        ("bee", 0.51, False),
        ("ant", 0.51, True),
    ]
    assert atlas.notes == [
        f"norm={HOSTILE} is left out: a run has no predictions.csv (callbacks=training keeps none)."
    ]


def test_other_test_images_make_no_atlas_and_no_table_of_classes(sweep: Path) -> None:
    hand_made(sweep, "in", 0, [0.6], said="bbaabb")
    board = leaderboard(find_runs([sweep]))
    atlas = plan_atlas([row.variant for row in board.rows])
    assert (atlas.shelves, atlas.notes[-1]) == ((), "The variants were tested on different images.")
    assert 'id="classes"' not in write_report(board, sweep).read_text()


def test_damaged_files_are_told_and_stop_nothing(sweep: Path) -> None:
    folder = find_runs([sweep])[0].folder
    (folder / "metrics.csv").write_text("epoch,step\n0")
    (folder / "updates.csv").write_bytes(b"\xff\xfe")
    (folder / "predictions.csv").write_text("index,label\n0,x\n")
    other = find_runs([sweep])[1].folder
    facts = json.loads((other / "summary.json").read_text())
    (other / "summary.json").write_text(json.dumps(facts | {"train_images": "many", "macs": None}))
    head, row, *_ = (other / "predictions.csv").read_text().splitlines()
    (other / "predictions.csv").write_text(f"{head}\n{row.replace('0,0', '0,-1', 1)}\n")
    board = leaderboard(find_runs([sweep]))
    text = write_report(board, sweep).read_text()
    missing = text[text.index('id="missing"') :]
    assert "no update sizes: " in missing
    assert missing.count("no classes and no confusions: ") == 3  # the third has no predictions at all
    assert "a class below 0" in missing
    for name in ("metrics.csv", "updates.csv", "predictions.csv"):
        (folder / name).unlink()
    text = write_report(board, sweep).read_text()
    assert "no curves: metrics.csv is not there" in text


def test_of_many_variants_the_best_are_drawn(tmp_path: Path) -> None:
    for k in range(14):
        hand_made(tmp_path, f"n{k}", 0, [k / 20])
    text = write_report(leaderboard(find_runs([tmp_path])), tmp_path).read_text()
    assert "Of 14 variants, the best 12 are drawn." in text
    assert text.count('<button aria-pressed="true"') == 12
    assert text.count('<td class="variant"') == 2 * 14  # of leaderboard and settings


LINES = """(title) => {
  const figures = [...document.querySelectorAll('figure')];
  const chart = figures.find(f => f.querySelector('h3').textContent === title).querySelector('.chart');
  return chart.data.filter(t => t.customdata).map(t => [t.name, [...t.x], [...t.y], t.line.color]);
}"""


@pytest.mark.slow
@needs_browser
def test_the_page_in_a_browser_without_a_network(sweep: Path) -> None:
    from playwright.sync_api import expect

    write_report(leaderboard(find_runs([sweep])), sweep)
    moved = sweep.rename(sweep.with_name("zipped and sent"))  # links are relative
    with opened(moved / "report.html", color_scheme="light") as page:
        assert page.title() == "Comparison: norm"
        lines = {name: (x, y) for name, x, y, _ in page.evaluate(LINES, "Validation accuracy")}
        assert lines["norm=bn"] == ([1, 2, 3], pytest.approx([30, 50, 60]))
        assert lines["norm=ln"] == ([1, 2, 3], pytest.approx([40, 60, 85]))
        colors = [
            {name: color for name, _, _, color in page.evaluate(LINES, title)}
            for title in ("Validation accuracy", "Accuracy against training time", "Learning rate")
        ]
        assert colors[0] == colors[1] == colors[2]
        assert len(set(colors[0].values())) == 3

        variants = (
            "[...document.querySelectorAll('#leaderboard tbody .variant')].map(c => c.innerText.trim())"
        )
        by_rank = ["norm=ln", "norm=bn", f"norm={HOSTILE}"]
        assert page.evaluate(variants) == [*by_rank, "norm=gn"]
        assert HOSTILE in page.inner_text("body")
        assert "no <b>memory</b>" in page.inner_text("#leaderboard")
        page.get_by_role("button", name="test accuracy").click()  # the highest first: 1 - val/acc
        assert page.evaluate(variants) == [*by_rank[::-1], "norm=gn"]  # what has no value stays last
        page.get_by_role("button", name="test accuracy").click()
        assert page.evaluate(variants) == [*by_rank, "norm=gn"]
        page.locator("#leaderboard").get_by_role("button", name="variant", exact=True).click()
        assert page.evaluate(variants) == sorted([*by_rank, "norm=gn"])

        links = page.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
        folders = [moved / unquote(link) for link in links if not link.startswith("#")]
        assert len(set(folders)) == 7
        assert all((folder / "summary.json").is_file() for folder in folders)
        anchors = [link for link in links if link.startswith("#")]
        assert anchors
        assert all(page.locator(anchor).count() == 1 for anchor in anchors)

        line = page.locator(".chart").first.locator(".scatterlayer .trace path.js-line")
        expect(line).to_have_count(5)  # two lines with their bands, and the dot of the third variant
        page.locator(".legend button").first.click()
        expect(line).to_have_count(3)

        tick = page.locator(".chart .xtick text").first
        expect(tick).to_have_css("fill", "rgb(92, 102, 112)")
        page.emulate_media(color_scheme="dark")
        expect(tick).to_have_css("fill", "rgb(154, 164, 174)")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == 390
