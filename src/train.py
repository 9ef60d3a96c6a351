"""Train: `python -m src.train [group=option …] [key=value …]`; `--help` lists them.

Heavy imports stand inside functions: they wait until the configuration is known to be good.
"""

import logging
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

from src.command import enter
from src.config.cli import RunFailed, run_command
from src.config.console import log_to_terminal
from src.config.help import look_at
from src.config.identity import plain
from src.config.lock import lock
from src.config.precision import slow_choice
from src.config.sweep import runs_in
from src.runs.folder import begin, settle
from src.runs.table import results_table, shown, tensorboard_command

if TYPE_CHECKING:
    import lightning as L

    from src.runs.checkpoint_file import ResumePoint
    from src.runs.summary import Summary

log = logging.getLogger(__name__)

_EXPLAIN = ("python", "-m", "src.explain", "run=latest", "images=0,1,2")


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def job(cfg: DictConfig) -> None:
    """One run, or one job of a sweep."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra_cfg = HydraConfig.get()
    if not settle(cfg, in_sweep=hydra_cfg.mode == RunMode.MULTIRUN):
        return
    typed = [override for override in hydra_cfg.overrides.task if not override.startswith("resume=")]
    try:
        train(cfg, overrides=typed, options=dict(hydra_cfg.runtime.choices))
    except RunFailed:
        if hydra_cfg.mode == RunMode.RUN:
            sys.exit(1)  # all has been said; a sweep continues, and counts at its end


def train(
    cfg: DictConfig,
    *,
    overrides: list[str],
    options: dict[str, str],
    callbacks: Sequence["L.Callback"] = (),
    test: bool = True,
) -> Path:
    """Build what `cfg` names, train, test, and leave everything in the run's folder.

    Args:
        cfg: the composed configuration.
        overrides: what was typed to make it.
        options: the chosen option of each group, such as `{"norm": "ln"}`.
        callbacks: more of them, after those of `cfg`.
        test: whether the test set is looked at in the end.

    Returns:
        The run's folder.

    Raises:
        Stopped: a callback has ended the run on purpose; summary.json says why.
        RunFailed: something went wrong; the reason is logged and in summary.json.
    """
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    from src.runs.failure import report_failure
    from src.runs.summary import Stopped

    run_dir = Path(cfg.paths.run_dir)
    first_process = getattr(rank_zero_only, "rank", 0) == 0  # set by Lightning from the environment
    locked = lock(run_dir) if first_process else nullcontext()
    if locked is None:
        log.error("error: %s is being trained in another process: left alone.", shown(run_dir))
        raise RunFailed
    with locked:
        summary, point = begin(cfg, overrides, options, write=first_process)
        try:
            with summary.recording():
                fit(cfg, summary, point, callbacks, test=test)
                if first_process:
                    draw(run_dir)
        except Stopped as stopped:
            log.info("%s", stopped)
            raise
        except SystemExit as stop:  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from stop
        except Exception as error:
            # of several processes only the first to fail writes, and speaks
            raise RunFailed(
                report_failure(error, run_dir, show=cfg.traceback) if summary.write else None
            ) from error
    if first_process:
        tell(summary, run_dir, cfg.paths.output_dir)
    return run_dir


def fit(
    cfg: DictConfig,
    summary: "Summary",
    point: "ResumePoint | None",
    callbacks: Sequence["L.Callback"],
    *,
    test: bool,
) -> None:
    """Build the parts, train and, if asked to, test; a run that was cut off continues at `point`.

    The test is done once, with the best weights by validation, or the last if none were kept.
    """
    import lightning as L

    from src.callbacks.evaluation import with_views
    from src.callbacks.hparams import HparamsTab
    from src.callbacks.order import in_order
    from src.callbacks.recorder import Recorder
    from src.config.build import build, build_all, build_named
    from src.config.resume import checkpoint_file
    from src.engine.loggers import close
    from src.engine.machine import return_freed_memory
    from src.engine.quiet import quiet
    from src.engine.weights import load_checkpoint, refuse_other_run
    from src.models.cost import count_macs, num_params
    from src.runs.checkpoint_file import WholeCheckpoints

    quiet()
    build(cfg.machine)
    ckpt_path = checkpoint_file(cfg.ckpt_path) if cfg.ckpt_path else None
    if point:
        log.info("resumes:    after step %d of %s", point.step, shown(point.path))
        ckpt_path = point.path
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    datamodule = build(cfg.data)
    module = build(cfg.module)
    config = plain(cfg)
    if ckpt_path:
        refuse_other_run(load_checkpoint(Path(ckpt_path)), module, config, Path(ckpt_path))
    module.hparams.update(config)  # kept in checkpoints
    watchers = in_order(
        [
            Recorder(summary, goes_on=point is not None),
            HparamsTab(summary, config),
            *with_views(build_named(cfg.callbacks)),
            *callbacks,
            *build_all({"average": cfg.average}),
        ]
    )
    keeps = any(isinstance(callback, L.pytorch.callbacks.Checkpoint) for callback in watchers)
    trainer = build(
        cfg.trainer,
        callbacks=watchers,
        logger=build_all(cfg.logger),
        plugins=[WholeCheckpoints()],
        **({} if keeps else {"enable_checkpointing": False}),  # else Lightning keeps one of its own
    )
    cost = {"num_params": num_params(module.net), "macs": count_macs(module.net, cfg.data.image_size)}
    summary.update(**cost, device=_device_name(trainer), precision=str(trainer.precision))
    if trainer.is_global_zero:
        log.info("run folder: %s", shown(Path(summary.path.parent)))
        log.info("device:     %s, precision %s", summary.facts["device"], trainer.precision)
        if slow := slow_choice(cfg, summary.facts["overrides"]):
            log.warning("%s", slow)
    try:
        checkpoint = str(ckpt_path) if ckpt_path else None
        trainer.fit(module, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
        if test:
            return_freed_memory()  # explanations want tensors of other sizes than training left room for
            best = _best_checkpoint(trainer)
            trainer.test(module, datamodule=datamodule, ckpt_path=best, weights_only=True, verbose=False)
    finally:
        failed = sys.exc_info()[0] is not None
        for logger in trainer.loggers:
            close(logger, failed=failed)


def _best_checkpoint(trainer: "L.Trainer") -> str | None:
    """Path of the best weights by a monitored metric, if a callback kept any."""
    for callback in trainer.checkpoint_callbacks:
        path = str(getattr(callback, "best_model_path", ""))
        if getattr(callback, "monitor", None) and path and Path(path).is_file():
            return path
    return None


def _device_name(trainer: "L.Trainer") -> str:
    """Name of the device that trains: the GPU's, or the processor's and its number of cores."""
    import platform

    import torch

    device = trainer.strategy.root_device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.processor() or platform.machine()}, {os.cpu_count()} cores)"


def draw(run_dir: Path) -> None:
    """Leave curves.png beside metrics.csv."""
    from src.drawing.charts import as_image
    from src.drawing.sheet import packed, save
    from src.runs.curves import draw_curves

    if (run_dir / "metrics.csv").is_file():
        save(packed(as_image(draw_curves(run_dir), dpi=120)), run_dir, "curves")


def tell(summary: "Summary", run_dir: Path, output_dir: str) -> None:
    """End with the numbers, the folder and the command that shows the curves."""
    log.info("\n%s\n", results_table(summary.facts))
    log.info("run folder:  %s", shown(run_dir))
    if not in_sweep() and (run_dir / "checkpoints" / "last.ckpt").is_file():
        typed = [o for o in summary.facts["overrides"] if o.startswith(("paths.output_dir=", "data.root="))]
        log.info("look closer: %s", shlex.join([*_EXPLAIN, *typed]))
        log.info("compare:     python -m src.compare %s", shown(Path(output_dir)))
    if any(run_dir.glob("events.out.tfevents.*")):
        log.info("curves:      %s", tensorboard_command(shown(Path(output_dir))))


def in_sweep() -> bool:
    """Whether this is one job of a sweep."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def conclude(sweep_dir: Path) -> None:
    """End a sweep with the table of its runs, and with what its experiment says to look at."""
    from src.compare.command import conclude as write_table

    log_to_terminal()
    write_table([sweep_dir], sweep_dir)
    options = [facts.get("options") for facts in runs_in(sweep_dir).values()]
    experiments = {str(chosen.get("experiment")) for chosen in options if isinstance(chosen, dict)}
    for words in filter(None, map(look_at, sorted(experiments))):
        log.info("\nlook at:     %s", words)


if __name__ == "__main__":
    enter(lambda _: run_command(job, conclude))
