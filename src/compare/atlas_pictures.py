"""Pictures for the error atlas: the images, and where each variant looked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from src.attribution.capture import map_layers
from src.attribution.grad_cam import grad_cam
from src.attribution.maps import heat, heat_overlay
from src.compare.atlas import Atlas, Cell, Row
from src.compare.runs import Run
from src.config.build import build
from src.config.finished import checkpoint_of, run_config
from src.data.pictures import Picture, read_test_images
from src.data.pixels import normalize
from src.data.stats import Stats
from src.drawing.sheet import tile
from src.engine.weights import data_facts, load_checkpoint, load_weights
from src.runs.summary import one_line

SIDE = 96  # pixels, height and width of a tile
PLACES = 4  # height and width of a map


def illustrate(atlas: Atlas) -> Atlas:
    """The same atlas with pictures; where data or a checkpoint is missing, without, and told in a line.

    Nothing is downloaded. Grad-CAM is of the predicted class, at the last layer with maps of 4x4 or more.
    """
    if not any(shelf.rows for shelf in atlas.shelves):
        return atlas
    rows = {row.index: row for shelf in atlas.shelves for row in shelf.rows}
    notes = list(atlas.notes)
    try:
        pictures = _test_images(atlas.runs, rows)
    except Exception as error:  # a report is made of what is there
        return replace(atlas, notes=[*notes, f"No pictures: {one_line(error)}"])
    seen: list[dict[int, bytes]] = []
    for k, (variant, run) in enumerate(zip(atlas.variants, atlas.runs, strict=True)):
        try:
            seen.append(looked(run, pictures, [row.cells[k].predicted for row in rows.values()]))
        except Exception as error:
            seen.append({})
            notes.append(f"No Grad-CAM of {variant.name}: {one_line(error)}")

    def illustrated(row: Row) -> Row:
        cells: list[Cell] = [
            replace(cell, seen=maps.get(row.index)) for cell, maps in zip(row.cells, seen, strict=True)
        ]
        return replace(row, cells=cells, picture=webp(tile(pictures[row.index].pixels, SIDE)))

    shelves = [replace(shelf, rows=[illustrated(row) for row in shelf.rows]) for shelf in atlas.shelves]
    return replace(atlas, shelves=shelves, notes=notes)


def _test_images(runs: Sequence[Run], rows: Mapping[int, Row]) -> dict[int, Picture]:
    """The images of these rows of the test set, read as the first run says whose folder has all it takes.

    Raises:
        Exception: whatever kept the last one from being read.
    """
    *others, last = runs
    for run in others:
        try:
            return _test_images_of(run, rows)
        except Exception:  # another run may have what is missing here
            continue
    return _test_images_of(last, rows)


def _test_images_of(run: Run, rows: Mapping[int, Row]) -> dict[int, Picture]:
    """The images of these rows of a run's test set; nothing is downloaded.

    Raises:
        ConfigError, ValueError, OSError: the configuration, the checkpoint or the data cannot be read.
    """
    cfg = run_config(run.folder, [])
    if "download" in cfg.data:
        cfg.data.download = False
    checkpoint = checkpoint_of(run.folder, "")
    facts = data_facts(load_checkpoint(checkpoint), checkpoint)
    pictures = dict(zip(rows, read_test_images(build(cfg.data), list(rows), facts), strict=True))
    _refuse_others(pictures, rows, facts)
    return pictures


def _refuse_others(pictures: Mapping[int, Picture], rows: Mapping[int, Row], facts: dict[str, Any]) -> None:
    """Compare the images' labels with those that the runs met.

    Raises:
        ValueError: they are of another test set.
    """
    for index, picture in pictures.items():
        assert picture.label is not None
        if (name := facts["class_names"][picture.label]) != rows[index].label:
            raise ValueError(
                f"image {index} of the test set here is of class {name}, and of class {rows[index].label} in "
                f"predictions.csv: the data has changed."
            )


def looked(run: Run, pictures: dict[int, Picture], predicted: Sequence[int]) -> dict[int, bytes]:
    """Each picture under the Grad-CAM of the class that the run predicted for it, as WebP.

    Raises:
        ValueError, OSError: the checkpoint or the configuration cannot be used.
    """
    cfg = run_config(run.folder, [])
    content = load_checkpoint(checkpoint := checkpoint_of(run.folder, ""))
    facts = data_facts(content, checkpoint)
    net = build(cfg.model).eval()
    load_weights(net, content, checkpoint)
    stats = Stats(tuple(facts["mean"]), tuple(facts["std"]))
    pixels = np.stack([picture.pixels for picture in pictures.values()])
    inputs = normalize(torch.from_numpy(pixels), stats).permute(0, 3, 1, 2)
    found = grad_cam(net, inputs, torch.tensor(predicted), map_layers(net, facts["image_size"]))
    maps = deepest(list(found.values()))
    heats = heat(maps, (SIDE, SIDE))[:, 0]
    return {
        index: webp(tile(heat_overlay(large(picture), one), SIDE))
        for (index, picture), one in zip(pictures.items(), heats, strict=True)
    }


def deepest(maps: Sequence[Tensor]) -> Tensor:
    """Of several layers' maps (n, 1, h, w), early ones first, the last that still says where: 4x4 or more."""
    return next((one for one in reversed(maps) if min(one.shape[2:]) >= PLACES), maps[-1])


def large(picture: Picture) -> Tensor:
    """The image as a tile, (3, SIDE, SIDE) in [0, 1]."""
    return torch.from_numpy(np.array(tile(picture.pixels, SIDE))).permute(2, 0, 1) / 255


def webp(picture: Image.Image) -> bytes:
    """A picture as a small file."""
    buffer = BytesIO()
    picture.save(buffer, format="WEBP", quality=85)
    return buffer.getvalue()
