"""A run's folder: whether the run in it is finished, and where it resumes; what a run leaves there first.

Heavy imports stand inside functions: they wait until the configuration is known to be good.
"""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from src.config.cli import RunFailed
from src.config.console import leave, log_to
from src.config.identity import NAME, identity, plain, what_matters
from src.config.latest import now
from src.config.precision import settle_precision
from src.config.resolvers import new_folder
from src.config.sweep import SUMMARY, left_alone, read, run_before
from src.files import write_text
from src.runs.table import shown

if TYPE_CHECKING:
    from src.runs.checkpoint_file import ResumePoint
    from src.runs.summary import Summary

log = logging.getLogger(__name__)


def settle(cfg: DictConfig, *, in_sweep: bool) -> bool:
    """Whether the run is not finished; `cfg.paths.run_dir` is then where it trains.

    What was begun before continues in its folder, unless it is done; a folder that holds another run is not
    touched. Who asks for `resume` has a run continue that failed, too.
    """
    settle_precision(cfg)
    run_dir, key = Path(cfg.paths.run_dir), identity(what_matters(plain(cfg)))
    auto, rerun = cfg.resume == "auto", "failed" if cfg.resume else cfg.rerun
    folder = run_before(run_dir, key, in_sweep=in_sweep, auto=auto) if cfg.rerun != "all" else None
    if cfg.resume not in (None, "auto"):
        folder = run_dir  # the command has looked: this is that run
    if folder and (reason := left_alone(folder, rerun)):
        log.info("%s: %s", shown(folder), reason)
        leave(run_dir)
        return False
    if folder is None and (run_dir / SUMMARY).is_file():
        folder = Path(new_folder(str(run_dir.parent), run_dir.name))
    if folder and folder != run_dir:
        leave(run_dir)
        log_to(folder / "train.log")
        cfg.paths.run_dir = str(folder)
    return True


def begin(
    cfg: DictConfig, overrides: list[str], options: dict[str, str], *, write: bool
) -> "tuple[Summary, ResumePoint | None]":
    """Make the run's folder one that a run has begun in, or continues in from the point that comes back.

    Raises:
        RunFailed: all of its checkpoints are damaged.
    """
    from src.runs.checkpoint_file import clear
    from src.runs.provenance import provenance
    from src.runs.summary import Status, Summary

    run_dir, matters = Path(cfg.paths.run_dir), what_matters(plain(cfg))
    chosen = {group: option for group, option in options.items() if not group.startswith("hydra")}
    facts = {"seed": cfg.seed, "identity": identity(matters), "options": chosen} | provenance(overrides)
    # and cut off: who calls this has looked
    begun = (run_dir / SUMMARY).is_file() or (run_dir / "checkpoints").is_dir()
    point = _where_to_go_on(run_dir) if begun else None
    known = read(run_dir / SUMMARY) | {"status": Status.RUNNING} if point else {"started": now()}
    if write:
        if begun and not point:
            clear(run_dir)
        save_config(cfg, overrides, run_dir)
    summary = Summary(run_dir, write=write, **known | facts)
    if write:
        write_text(run_dir / NAME, json.dumps(matters, indent=2, allow_nan=False))
    return summary, point


def _where_to_go_on(run_dir: Path) -> "ResumePoint | None":
    """The newest whole checkpoint of a run that was cut off, if it got so far; damaged ones are told of.

    Raises:
        RunFailed: there are only damaged ones.
    """
    from lightning.pytorch.utilities import rank_zero_only

    from src.runs.checkpoint_file import damaged, resume_point

    for path in damaged(run_dir):
        rank_zero_only(log.warning)("%s is damaged (its checksum differs): left out.", shown(path))
    try:
        return resume_point(run_dir)
    except ValueError as error:
        rank_zero_only(log.error)("error: %s", error)
        raise RunFailed from None


def save_config(cfg: DictConfig, overrides: list[str], run_dir: Path) -> None:
    """Leave the composed configuration in `.hydra`; Hydra would do so for jobs that are done, too."""
    folder = run_dir / ".hydra"
    folder.mkdir(exist_ok=True)
    write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg))
    write_text(folder / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(overrides)))
