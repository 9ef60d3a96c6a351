import logging
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import (
    STORE_EVERYTHING_SIZE_GUIDANCE,
    EventAccumulator,
)

from src.compare.mean_runs import MAX_POINTS, write_mean_runs
from src.compare.runs import find_runs
from src.compare.variants import Variant, group
from tests.made_runs import made_run


def variants(place: Path) -> list[Variant]:
    return group(find_runs([place]))[1]


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """tag -> (step, value) points of a folder with one event file."""
    (path,) = folder.iterdir()
    events = EventAccumulator(str(path), size_guidance=STORE_EVERYTHING_SIZE_GUIDANCE)
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_curves_are_means_with_a_band_of_one_standard_deviation(tmp_path: Path) -> None:
    for seed, acc in enumerate(([0.1, 0.5], [0.3, 0.5], [0.5, 0.8])):
        made_run(tmp_path / f"bn{seed}", seed=seed, curves={"val/acc": acc, "lr-SGD": [0.1, 0.01]})
    made_run(tmp_path / "ln", norm="ln", curves={"val/acc": [0.2, 0.4]})
    made_run(tmp_path / "gn", norm="gn", status="failed: x", curves={"val/acc": [0.2, 0.4]})
    folder = write_mean_runs(variants(tmp_path), tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["norm=bn", "norm=ln"]
    bn = read(folder / "norm=bn")
    # standard deviations of .1 .3 .5 and of .5 .5 .8 with n - 1: 0.2 and sqrt(0.03)
    assert bn["val/acc"] == [(9, pytest.approx(0.3)), (19, pytest.approx(0.6))]
    assert bn["within_sd/val/acc/low"] == [(9, pytest.approx(0.1)), (19, pytest.approx(0.6 - 0.03**0.5))]
    assert bn["within_sd/val/acc/high"] == [(9, pytest.approx(0.5)), (19, pytest.approx(0.6 + 0.03**0.5))]
    assert bn["lr-SGD"] == [(9, pytest.approx(0.1)), (19, pytest.approx(0.01))]
    ln = read(folder / "norm=ln")
    assert ln["val/acc"] == ln["within_sd/val/acc/low"] == ln["within_sd/val/acc/high"]


def test_the_layout_has_a_margin_chart(tmp_path: Path) -> None:
    from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

    made_run(tmp_path / "run", curves={"val/acc": [0.2]})
    (path,) = (write_mean_runs(variants(tmp_path), tmp_path) / "all").iterdir()
    events = EventAccumulator(str(path))
    events.Reload()
    layout = Layout()
    layout.ParseFromString(events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    series = [(s.value, s.lower, s.upper) for chart in layout.category[0].chart for s in chart.margin.series]
    assert ("val/acc", "within_sd/val/acc/low", "within_sd/val/acc/high") in series


def test_means_stop_where_the_first_run_stopped(tmp_path: Path) -> None:
    made_run(tmp_path / "0", curves={"val/acc": [0.2, 0.4, 0.6]})
    made_run(tmp_path / "1", seed=1, curves={"val/acc": [0.4, 0.6]})
    folder = write_mean_runs(variants(tmp_path), tmp_path)
    assert read(folder / "all")["val/acc"] == [(9, pytest.approx(0.3)), (19, pytest.approx(0.5))]


def test_long_curves_are_thinned_and_keep_their_end(tmp_path: Path) -> None:
    made_run(tmp_path / "0", curves={"lr-SGD": [float(k) for k in range(3 * MAX_POINTS)]})
    points = read(write_mean_runs(variants(tmp_path), tmp_path) / "all")["lr-SGD"]
    assert len(points) == MAX_POINTS
    assert points[-1] == (30 * MAX_POINTS - 1, 3.0 * MAX_POINTS - 1)


def test_written_anew_and_nothing_of_others_is_removed(tmp_path: Path) -> None:
    for norm in ("bn", "ln"):
        made_run(tmp_path / norm, norm=norm, curves={"val/acc": [0.2]})
    folder = write_mean_runs(variants(tmp_path), tmp_path)
    foreign = folder / "norm=ln" / "events.out.tfevents.1.mine"
    foreign.write_text("")
    folder = write_mean_runs([v for v in variants(tmp_path) if v.name == "norm=bn"], tmp_path)
    assert len(list((folder / "norm=bn").iterdir())) == 1
    assert list((folder / "norm=ln").iterdir()) == [foreign]
    foreign.unlink()
    (folder / "norm=ln").rmdir()
    write_mean_runs([v for v in variants(tmp_path) if v.name == "norm=ln"], tmp_path)
    assert [path.name for path in folder.iterdir()] == ["norm=ln"]


def test_names_that_are_alike_get_folders_of_their_own(tmp_path: Path) -> None:
    for k, name in enumerate(("x/y", "x:y")):
        made_run(tmp_path / str(k), norm=name, curves={"val/acc": [0.1 * k]})
    folder = write_mean_runs(variants(tmp_path), tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["norm=x-y", "norm=x-y-2"]


@pytest.mark.parametrize(
    "text", ["", "epoch,step,val/acc\n0,x,0.1", "epoch,val/acc\n0,0.1", "step,val/acc\n9,0.1\n19"]
)
def test_a_broken_metrics_file_is_left_out(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made_run(tmp_path / "0", curves={"val/acc": [0.2]})
    (made_run(tmp_path / "1", seed=1) / "metrics.csv").write_text(text)
    made_run(tmp_path / "2", seed=2)  # logger=none
    with caplog.at_level(logging.WARNING):
        folder = write_mean_runs(variants(tmp_path), tmp_path)
    assert read(folder / "all")["val/acc"] == [(9, pytest.approx(0.2))]
    assert len(caplog.records) == bool(text)
