"""A run's network for other programs: `python -m src.export run=<run folder> [format=onnx]`."""

import logging
from pathlib import Path

from src.command import Arguments, command, results_in
from src.config.errors import ConfigError, nearest
from src.config.finished import finished_run, placed, words
from src.export.formats import FORMATS
from src.runs.table import shown

log = logging.getLogger(__name__)

HELP = """\
Write a run's network for other programs: the weights that were validated (the average, where the run kept
one), class names, how images are normalized, and which run it was.

  python -m src.export run=<run folder> [format=safetensors,onnx]

  run=<folder>      the run: outputs/<task_name>/runs/<time>_<overrides>; latest: the newest that is completed
  format=<names>    safetensors: weights alone, the safest to pass on; onnx: runs without PyTorch.
                    Both with a comma; safetensors if not given
  ckpt=best|last    which weights; best where the run kept one
  out=<folder>      where files go; <run folder>/export if not given. An earlier export there is replaced
  allow=<names>     callables that the run's configuration may name although no file in conf/ does

Each file is read back and must give the network's logits on validation images of the run (test images where
it had none) in batches of several sizes, to 1e-5, or to a millionth of the largest where that is more; if it
does not, it is removed and the exit code is 1.
docs/export.md shows how to load each format. Everything else is an override as for src.train
(data.root=<folder>).

Examples:
  python -m src.export run=outputs/quickstart/runs/<run>
  python -m src.export run=outputs/train/runs/<run> format=onnx out=/srv/models"""

OWN = {"run": "???", "format": "safetensors", "ckpt": "", "out": "", "allow": ""}


@command(HELP, OWN)
def main(given: Arguments) -> int:
    """The command; returns its exit code."""
    formats = _formats_named(given.own["format"])
    run_dir, checkpoint, cfg = finished_run(given.own, given.overrides)
    out = Path(given.own["out"] or run_dir / "export")
    out.mkdir(parents=True, exist_ok=True)
    with results_in(out, "export.log"):
        from src.config.build import build
        from src.engine.quiet import quiet
        from src.export.write import export

        quiet()
        build(cfg.machine)
        files = export(placed(cfg, out), checkpoint, formats, allow=words(given.own["allow"]))
    (out / "traceback.txt").unlink(missing_ok=True)  # of an export that failed
    for path, difference, num_images in files:
        log.info(
            "%s: %.2f MB, logits of %d images within %.1e of the network's",
            shown(path),
            path.stat().st_size / 1e6,
            num_images,
            difference,
        )
    return 0


def _formats_named(given: str) -> list[str]:
    """The formats that `format=` names, each once.

    Raises:
        ConfigError: there is no such format, or it needs packages that are not installed.
    """
    names = list(dict.fromkeys(words(given)))
    if not names:
        raise ConfigError(f"format= names nothing: valid are {', '.join(FORMATS)}.")
    for name in names:
        if name not in FORMATS:
            near = nearest(name, FORMATS, "")
            raise ConfigError(f"format={name} does not exist: valid are {', '.join(FORMATS)}.{near}")
        if missing := FORMATS[name].missing:
            raise ConfigError(
                f"format={name} needs {', '.join(missing)}, not installed here; the extra {name} brings it: "
                f"pip install -e '.[{name}]'."
            )
    return names
