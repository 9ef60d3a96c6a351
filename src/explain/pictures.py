"""Pictures in, sheets with Grad-CAM and evidence maps, and a table of predictions, out.

Shapes: B pictures, S the network's image size, T classes that are explained.
"""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from src.attribution.capture import on_net
from src.attribution.evidence import evidence
from src.attribution.grad_cam import grad_cam
from src.data.pictures import SIDE, Picture
from src.data.pixels import normalize
from src.data.stats import Stats
from src.drawing.mistakes import Answer, Case, evidence_block, grad_cam_block
from src.drawing.sheet import grid
from src.files import atomic_write
from src.metrics.predictions import Predictions

BATCH = 64  # pictures a pass


@dataclass(frozen=True)
class _Explanation:
    """A row: names of classes with their probabilities; `actual` is empty where nobody knows it."""

    picture: str
    predicted: str
    confidence: float
    second: str
    second_confidence: float
    actual: str
    target: str
    target_confidence: float
    sheet: str


def explain_pictures(
    net: nn.Module,
    pictures: Sequence[Picture],
    *,
    layers: Sequence[str],
    target: str,
    facts: dict[str, Any],
    out: Path,
) -> list[_Explanation]:
    """Save a sheet for each picture as `<name>.png` in `out`, and tell what the network says.

    Args:
        net: a classifier in eval mode.
        pictures: what is explained.
        layers: dotted names of layers with maps.
        target: `predicted`, `true`, or a class by name or number.
        facts: class names, image size, mean and standard deviation, as in a checkpoint.
        out: an existing folder.

    Raises:
        ValueError: no such class, or `true` for a picture whose class is unknown.
    """
    names: list[str] = facts["class_names"]
    targets = [target_of(picture, target, names) for picture in pictures]
    stats = Stats(tuple(facts["mean"]), tuple(facts["std"]))
    found = []
    for start in range(0, len(pictures), BATCH):
        part, wanted = pictures[start : start + BATCH], targets[start : start + BATCH]
        pixels = torch.from_numpy(np.stack([picture.pixels for picture in part]))
        inputs = normalize(pixels, stats).permute(0, 3, 1, 2)
        with torch.no_grad():
            logits = net(on_net(net, inputs)).double().numpy()
        said = Predictions(np.arange(len(part)), np.zeros(len(part), np.int64), logits)
        aims = np.array([said.predicted[k] if t is None else t for k, t in enumerate(wanted)])
        both = torch.from_numpy(np.concatenate([said.predicted, aims]))
        maps = grad_cam(net, torch.cat([inputs, inputs]), both, layers)
        exact = _exact_maps(net, inputs)
        for k, picture in enumerate(part):
            guess, aim = int(said.predicted[k]), int(aims[k])
            answers = [Answer("predicted", names[guess], said.probs[k, guess])]
            if aim != guess:
                role = "actual" if target == "true" else "target"
                answers.append(Answer(role, names[aim], said.probs[k, aim]))
            rows = [k, len(part) + k][: len(answers)]
            case = Case(picture.large, answers, SIDE)
            blocks = [grad_cam_block(case, {layer: maps[layer][rows, 0] for layer in layers})]
            if exact is not None:
                blocks.append(evidence_block(case, exact[k, [guess, aim][: len(answers)]]))
            path = _free_name(out, picture.name)
            grid(blocks, columns=1, gap=14).save(path, optimize=True)
            second = int(said.second[k])
            found.append(
                _Explanation(
                    picture=picture.name,
                    predicted=names[guess],
                    confidence=float(said.confidence[k]),
                    second=names[second],
                    second_confidence=float(said.probs[k, second]),
                    actual="" if picture.label is None else names[picture.label],
                    target=names[aim],
                    target_confidence=float(said.probs[k, aim]),
                    sheet=path.name,
                )
            )
    return found


def target_of(picture: Picture, target: str, names: Sequence[str]) -> int | None:
    """The class that is looked for; None: the predicted one."""
    if target == "predicted":
        return None
    if target == "true":
        if picture.label is None:
            raise ValueError(
                f"target=true: nobody knows the class of {picture.name}. Put it into a folder named "
                f"after its class ({', '.join(names[:10])}), or use target=predicted or target=<class>."
            )
        return picture.label
    if target in names:
        return list(names).index(target)
    if target.isdecimal() and int(target) < len(names):
        return int(target)
    raise ValueError(f"target={target} is no class: valid are predicted, true, {', '.join(names[:20])}.")


def _exact_maps(net: nn.Module, inputs: Tensor) -> Tensor | None:
    """Evidence maps (B, K, h, w), or None for a network that has none."""
    try:
        return evidence(net, inputs).maps
    except ValueError:
        return None


def _free_name(folder: Path, stem: str) -> Path:
    """`stem.png`, or with `-2`, `-3` … appended where pictures of several folders share a name."""
    count, path = 1, folder / f"{stem}.png"
    while path.exists():
        count += 1
        path = folder / f"{stem}-{count}.png"
    return path


def write_explanations(path: Path, rows: Sequence[_Explanation]) -> None:
    """A CSV file, a row a picture."""
    with atomic_write(path) as file:
        writer = csv.DictWriter(file, [field.name for field in fields(_Explanation)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def explanations_table(rows: Sequence[_Explanation]) -> str:
    """For the terminal: picture, predicted class, second choice, actual class, target, sheet."""
    cells = [("picture", "predicted", "second choice", "actual", "target", "sheet")]
    for row in rows:
        said = f"{row.predicted} {row.confidence:.1%}"
        other = f"{row.second} {row.second_confidence:.1%}"
        aim = f"{row.target} {row.target_confidence:.1%}"
        cells.append((row.picture, said, other, row.actual or "?", aim, row.sheet))
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells
    )
