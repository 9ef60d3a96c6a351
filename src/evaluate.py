"""Evaluate a finished run: `python -m src.evaluate run=<run folder> [ckpt=last] [data=…] [key=value …]`."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from src.command import Arguments, command, enter, results_folder, results_in
from src.config.finished import finished_run, placed
from src.config.resolvers import run_name
from src.runs.table import results_table, shown

if TYPE_CHECKING:
    from src.runs.summary import Summary

log = logging.getLogger(__name__)

HELP = """\
Test a finished run again, with everything that a run's end shows: mistakes, Grad-CAM, evidence maps,
confusion matrix, calibration, predictions.csv.

  python -m src.evaluate run=<run folder> [key=value …]

  run=<folder>      the run: outputs/<task_name>/runs/<time>_<overrides>; latest: the newest that is completed
  ckpt=best|last    which weights; best where the run kept one
  out=<folder>      where results go; <run folder>/evaluate/<ckpt>… if not given
  allow=<names>     callables that the run's configuration may name although no file in conf/ does

Everything else is an override as for src.train, over the run's own configuration:
  data=image_folder data.root=<folder>        another test set with the same classes
  callbacks.misclassified.num_images=50       more mistakes
  'callbacks.grad_cam.layers=[stage3.block1]' other layers
  triage.cifar10h=<file>                      why it fails (docs/triage.md)

Examples:
  python -m src.evaluate run=outputs/quickstart/runs/<run>
  python -m src.evaluate run=outputs/train/runs/<run> ckpt=last trainer=cpu"""

OWN = {"run": "???", "ckpt": "", "out": "", "allow": ""}


@command(HELP, OWN)
def main(given: Arguments) -> int:
    """The command; returns its exit code."""
    run_dir, checkpoint, cfg = finished_run(given.own, given.overrides)
    variant = ",".join(o for o in given.overrides if not o.startswith(("data.root=", "trainer")))
    name = "_".join([checkpoint.stem, *([run_name(variant)] if variant else [])])
    out = results_folder(given.own["out"] or run_dir / "evaluate" / name)
    with results_in(out, "evaluate.log", show=cfg.traceback):
        from src.runs.provenance import provenance
        from src.runs.summary import Summary

        facts = provenance(given.typed, "src.evaluate")
        summary = Summary(out, run=str(run_dir), checkpoint=str(checkpoint), **facts)
        with summary.recording():
            evaluate(placed(cfg, out), checkpoint, summary)
        log.info("\n%s\n\nresults: %s", results_table(summary.facts), shown(out))
    return 0


def evaluate(cfg: DictConfig, checkpoint: Path, summary: "Summary") -> None:
    """Test the checkpoint's weights on the test set of `cfg.data`.

    Raises:
        ValueError: the checkpoint is damaged, unsafe, or of another model or other classes.
    """
    import lightning as L

    from src.callbacks.evaluation import with_views
    from src.callbacks.order import in_order
    from src.callbacks.recorder import Recorder
    from src.config.build import build, build_all, build_named
    from src.engine.quiet import quiet
    from src.engine.weights import data_facts, load_checkpoint, load_weights

    quiet()
    build(cfg.machine)
    content = load_checkpoint(checkpoint)
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    datamodule = build(cfg.data)
    datamodule.load_state_dict(data_facts(content, checkpoint))
    module = build(cfg.module)
    load_weights(module.net, content, checkpoint)
    trainer = build(
        cfg.trainer,
        devices=1,  # each image counts once
        callbacks=in_order([Recorder(summary), *with_views(build_named(cfg.callbacks))]),
        logger=build_all(cfg.logger),
    )
    trainer.test(module, datamodule=datamodule, verbose=False)


if __name__ == "__main__":
    enter(main)
