"""A run's network as a file for other programs, compared with the network before it gets its name."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from src.config.build import build
from src.config.identity import identity, plain, what_matters
from src.engine.weights import data_facts, load_checkpoint, load_weights
from src.export.formats import FORMATS, Facts, Predict
from src.files import atomic_write

_TOLERANCE = 1e-5  # of logits
# Of the largest logit, where that allows more: float32 itself is 1e-7 to 3e-7 of it away from float64
_RELATIVE = 1e-6
BATCHES = (1, 7, 32)  # sizes that a file is tried with


class Written(NamedTuple):
    """A file, and by how much its logits differ from the network's at most, over so many images."""

    path: Path
    difference: float
    num_images: int


def export(
    cfg: DictConfig, checkpoint: Path, formats: Sequence[str], *, allow: Sequence[str] = ()
) -> list[Written]:
    """Write the checkpoint's network into `cfg.paths.run_dir`, a file for each format.

    Raises:
        ValueError: the checkpoint is damaged, unsafe or of another model, the data has other classes, or a
            file gives other logits than the network: it is gone then.
    """
    content = load_checkpoint(checkpoint)
    net: nn.Module = build(cfg.model).eval().requires_grad_(False)
    load_weights(net, content, checkpoint)
    datamodule = build(cfg.data)
    datamodule.load_state_dict(data_facts(content, checkpoint))
    stage = "val" if datamodule.has_val else "test"
    _, positions = datamodule.eval_data(stage)
    images = datamodule.eval_inputs(stage, np.asarray(positions)[: sum(BATCHES)]).contiguous()
    facts = _facts_of(content, checkpoint, plain(cfg)["model"])
    folder = Path(cfg.paths.run_dir)
    return [write(net, images, facts, folder / checkpoint.stem, name, allow=allow) for name in formats]


def _facts_of(content: Mapping[str, Any], checkpoint: Path, model: Mapping[str, Any]) -> Facts:
    """What a file says of itself, as texts; what is no text is JSON.

    Args:
        content: the checkpoint's.
        checkpoint: where it lies: in `checkpoints/` of the run's folder.
        model: the configuration that builds the network.
    """
    data = data_facts(dict(content), checkpoint)
    size, names = data["image_size"], list(data["class_names"])
    found = {
        "class_names": names,
        "mean": list(data["mean"]),
        "std": list(data["std"]),
        "image_size": size,
        "input": f"images: float32 (batch, 3, {size}, {size}), RGB, (pixel / 255 - mean) / std by channel",
        "output": f"logits: float32 (batch, {len(names)}), in the order of class_names; softmax is for you",
        "model": model,
        "run": checkpoint.resolve().parent.parent.name,
        "identity": identity(what_matters(content.get("hyper_parameters", {}))),
        "checkpoint": checkpoint.name,
        "step": content.get("global_step"),
        "torch": str(torch.__version__),
    }
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in found.items()}


def write(
    net: nn.Module, images: Tensor, facts: Facts, stem: Path, name: str, *, allow: Sequence[str] = ()
) -> Written:
    """Write `<stem><suffix>`, read it back and compare; only then it gets its name, in one move.

    Raises:
        ValueError: what was read back is not what was written.
    """
    form = FORMATS[name]
    path = stem.with_name(stem.name + form.suffix)
    with atomic_write(path, "wb") as file:
        file.write(form.dump(net, images[:2], facts))
        file.flush()
        predict, found = form.load(Path(file.name), allow)
        if found != facts:
            raise ValueError(f"{path.name} does not give back what it was told: it was removed.")
        difference, largest = compared(net, predict, images)
        allowed = max(_TOLERANCE, _RELATIVE * largest)
        if not difference <= allowed:  # NaN is no agreement
            raise ValueError(
                f"{path.name} gives other logits than the network, by up to {difference:.2g} where "
                f"{allowed:.2g} is allowed: it was removed."
            )
    return Written(path, difference, len(images))


@torch.no_grad()
def compared(net: nn.Module, predict: Predict, images: Tensor) -> tuple[float, float]:
    """The largest difference of logits over the images, in batches of several sizes, and the largest logit.

    NaN where one is NaN.
    """
    batches = [batch for batch in images.split_with_sizes(sizes(len(images))) if len(batch)]
    wanted = torch.cat([net(batch) for batch in batches])
    found = torch.cat([predict(batch) for batch in batches])
    return float((wanted - found).abs().max()), float(wanted.abs().max())


def sizes(num_images: int) -> list[int]:
    """`BATCHES` as far as the images go: 12 -> 1, 7, 4."""
    found = []
    for size in BATCHES:
        found.append(min(size, num_images))
        num_images -= found[-1]
    return found
