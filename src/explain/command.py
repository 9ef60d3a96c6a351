"""Explain what a run's network sees in pictures: `python -m src.explain run=<run folder> images=<files>`."""

import logging
import time
from glob import glob
from pathlib import Path

from omegaconf import DictConfig

from src.command import Arguments, command, results_folder, results_in
from src.config.errors import ConfigError
from src.config.finished import finished_run, placed, words
from src.runs.table import shown

log = logging.getLogger(__name__)

HELP = """\
Show where a run's network looks in pictures: Grad-CAM of several layers and, where the network allows
it, exact evidence maps, as PNG files; predictions as a table.

  python -m src.explain run=<run folder> images=<what> [layers=…] [target=…]

  run=<folder>      the run: outputs/<task_name>/runs/<time>_<overrides>; latest: the newest that is completed
  images=<what>     a picture, a folder of pictures, a pattern ('pics/*.jpg'), several of them with
                    commas; or numbers: images of the run's test set (images=0,17,4321)
  layers=<names>    such as stage2.block1,stage4; the last four parts with maps if not given
  target=predicted|true|<class>
                    which class is looked for; true: the test label, or the name of a picture's folder
  ckpt=best|last    which weights; best where the run kept one
  out=<folder>      where results go; <run folder>/explain… if not given
  allow=<names>     callables that the run's configuration may name although no file in conf/ does

Pictures may have any size and mode: they are turned upright, put on white, scaled and centre-cropped.
Those that cannot be read are named and left out; the exit code is then 1. Everything else is an
override as for src.train (data.root=<folder> for test images).

Examples:
  python -m src.explain run=outputs/quickstart/runs/<run> images=0,1,2
  python -m src.explain run=outputs/train/runs/<run> images=holiday/ target=dog layers=stage3,stage4"""

OWN = {"run": "???", "images": "???", "layers": "", "target": "predicted", "ckpt": "", "out": "", "allow": ""}


@command(HELP, OWN)
def main(given: Arguments) -> int:
    """The command; returns its exit code: 1 also where some pictures were left out."""
    own = given.own
    run_dir, checkpoint, cfg = finished_run(own, given.overrides)
    files, indices = _what_to_explain(own["images"])
    out = results_folder(own["out"] or run_dir / "explain" / time.strftime("%y%m%d-%H%M"))
    with results_in(out, "explain.log", show=cfg.traceback):
        left_out = explain(placed(cfg, out), checkpoint, files=files, indices=indices, own=own)
        log.info("\npictures: %s", shown(out))
    return 1 if left_out else 0


def _what_to_explain(images: str) -> tuple[list[Path], list[int]]:
    """Picture files, and positions in the test set, that `images=` names.

    Raises:
        ConfigError: nothing is there.
    """
    from PIL import Image

    extensions = {ext for ext, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    files: list[Path] = []
    indices: list[int] = []
    for word in [images] if Path(images).exists() else words(images):
        if Path(word).is_dir():
            found = sorted(p for p in Path(word).rglob("*") if p.suffix.lower() in extensions)
        elif word.isdecimal():
            indices.append(int(word))
            continue
        elif any(sign in word for sign in "*?[") and not Path(word).exists():
            found = sorted(Path(name) for name in glob(word, recursive=True))  # noqa: PTH207  # absolute, too
        else:
            found = [Path(word)]
        if not found:
            raise ConfigError(f"images={word}: no pictures there.")
        files += found
    if not files and not indices:
        raise ConfigError("images= names nothing: give files, a folder, a pattern, or test set numbers.")
    return files, indices


def explain(
    cfg: DictConfig, checkpoint: Path, *, files: list[Path], indices: list[int], own: dict[str, str]
) -> int:
    """Leave a sheet for each picture and a table in the results' folder; returns how many were left out.

    Raises:
        ValueError: the checkpoint, a layer, the target or a test image's number cannot be used, or no
            picture could be read.
    """
    from src.attribution.capture import layer_named, map_layers
    from src.config.build import build
    from src.data.pictures import read_files, read_test_images
    from src.engine.weights import data_facts, load_checkpoint, load_weights
    from src.explain.pictures import explain_pictures, explanations_table, write_explanations

    out = Path(cfg.paths.run_dir)
    content = load_checkpoint(checkpoint)
    facts = data_facts(content, checkpoint)
    net = build(cfg.model).eval()
    load_weights(net, content, checkpoint)
    layers = words(own["layers"]) or map_layers(net, facts["image_size"])
    for layer in layers:
        layer_named(net, layer)
    pictures, broken = read_files(files, facts)
    for reason in broken:
        log.error("left out: %s", reason)
    if indices:
        pictures += read_test_images(build(cfg.data), indices, facts)
    if not pictures:
        raise ValueError(f"no picture could be read: {broken[0]}")
    explanations = explain_pictures(net, pictures, layers=layers, target=own["target"], facts=facts, out=out)
    write_explanations(out / "explanations.csv", explanations)
    log.info("\n%s", explanations_table(explanations))
    return len(broken)
