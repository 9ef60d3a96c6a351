"""Pictures for the error atlas, from short runs on the digits."""

import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from src.attribution.grad_cam import captum_grad_cam
from src.attribution.maps import heat, heat_overlay
from src.compare.atlas import Atlas, plan_atlas
from src.compare.atlas_pictures import SIDE, deepest, illustrate
from src.compare.leaderboard import Leaderboard, leaderboard
from src.compare.report import write_report
from src.compare.runs import find_runs
from src.config.build import build
from src.config.finished import run_config
from src.notebook import compose, train
from tests.compare.browser import needs_browser, opened
from tests.conftest import TINY

SHORT = [*TINY, "data=digits", "model.width=4", "trainer.max_epochs=1", "trainer.limit_train_batches=4"]
SHORT += [f"~callbacks.{name}" for name in ("grad_cam", "evidence", "misclassified", "projector", "samples")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of bn and one of ln."""
    folder = tmp_path_factory.mktemp("trained")
    for norm in ("bn", "ln"):
        paths = [f"paths.output_dir={folder}", f"paths.cache_dir={folder}/cache"]
        train(compose(*SHORT, *paths, f"norm={norm}"))
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "copied"))


def compared(folder: Path) -> tuple[Leaderboard, Atlas]:
    board = leaderboard(find_runs([folder]))
    return board, illustrate(plan_atlas([row.variant for row in board.rows]))


def pixels(picture: bytes | None) -> np.ndarray:
    """(SIDE, SIDE, 3) in 0..255."""
    assert picture is not None
    return np.asarray(Image.open(BytesIO(picture)).convert("RGB"), dtype=float)


@pytest.mark.slow
def test_pictures_are_the_test_images_and_where_the_networks_looked(trained: Path) -> None:
    _, atlas = compared(trained)
    assert list(atlas.notes) == []
    rows = [row for shelf in atlas.shelves for row in shelf.rows]
    assert len(rows) >= 6
    cfg = run_config(atlas.runs[0].folder, [])
    data = build(cfg.data)
    data.setup()
    for row in rows:
        image = np.kron(data.source.test.images[row.index], np.ones((3, 3, 1)))  # 32 pixels become 96
        assert np.abs(pixels(row.picture) - image).mean() < 6  # of 255: WebP loses a little
        assert row.label == str(data.source.test.labels[row.index])

    place, run = 1, atlas.runs[1]
    net = build(run_config(run.folder, []).model).eval()
    state = torch.load(run.folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    net.load_state_dict({key.removeprefix("net."): value for key, value in state.items()})
    inputs = data.eval_inputs("test", np.array([row.index for row in rows]))
    with torch.no_grad():
        predicted = net(inputs).argmax(1)
    assert predicted.tolist() == [row.cells[place].predicted for row in rows]
    maps = captum_grad_cam(net, inputs, predicted, ["stage4"])["stage4"]
    for row, one in zip(rows, heat(maps, (SIDE, SIDE))[:, 0], strict=True):
        image = np.kron(data.source.test.images[row.index], np.ones((3, 3, 1))) / 255
        want = heat_overlay(torch.from_numpy(image).permute(2, 0, 1).float(), one)
        got = pixels(row.cells[place].seen)
        assert np.abs(got - 255 * want.permute(1, 2, 0).numpy()).mean() < 6


def test_maps_of_too_few_places_are_passed_over() -> None:
    stages = [torch.zeros(2, 1, side, side) for side in (16, 8, 4, 2)]
    assert deepest(stages).shape == (2, 1, 4, 4)
    assert deepest(stages[3:]).shape == (2, 1, 2, 2)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_checkpoint_leaves_out_that_variants_maps_alone(missing: int, folder: Path) -> None:
    _, atlas = compared(folder)
    shutil.rmtree(atlas.runs[missing].folder / "checkpoints")
    _, atlas = compared(folder)
    (note,) = atlas.notes
    assert note.startswith(f"No Grad-CAM of {atlas.variants[missing].name}: no best.ckpt or last.ckpt")
    rows = [row for shelf in atlas.shelves for row in shelf.rows]
    assert all(row.picture is not None for row in rows)
    assert all([cell.seen is None for cell in row.cells] == [missing == 0, missing == 1] for row in rows)


def test_nothing_that_a_runs_folder_asks_for_is_called(folder: Path) -> None:
    _, atlas = compared(folder)
    witness = folder / "called"
    hostile = f"{{_target_: os.mkdir, path: '{witness}'}}"
    for run in atlas.runs:
        config = run.folder / ".hydra" / "config.yaml"
        config.write_text(config.read_text() + f"extra: {hostile}\n")
    _, atlas = compared(folder)
    (note,) = atlas.notes
    assert note.startswith("No pictures: ")
    assert "would call os.mkdir" in note
    assert not witness.exists()
    assert all(row.picture is None for shelf in atlas.shelves for row in shelf.rows)


def test_other_data_than_the_runs_met_are_told(folder: Path) -> None:
    _, atlas = compared(folder)
    for run in atlas.runs:  # as if the classes of the first two digits had been swapped since
        path = run.folder / "predictions.csv"
        head, *lines = path.read_text().splitlines()
        swapped = [line.split(",") for line in lines]
        for cells in swapped:
            cells[1] = cells[7] = {"0": "1", "1": "0"}.get(cells[1], cells[1])
        path.write_text("\n".join([head, *map(",".join, swapped)]))
    _, atlas = compared(folder)
    (note,) = atlas.notes
    assert "the data has changed" in note


@pytest.mark.slow
@needs_browser
def test_pictures_are_seen_on_the_page(trained: Path, tmp_path: Path) -> None:
    board, atlas = compared(trained)
    with opened(write_report(board, tmp_path, atlas)) as page:
        widths = page.evaluate("[...document.querySelectorAll('#atlas img')].map(i => i.naturalWidth)")
    shown = sum(len(shelf.rows) for shelf in atlas.shelves)
    assert widths == [SIDE] * 3 * shown  # each image, and where each of two variants looked
    assert shown >= 6
