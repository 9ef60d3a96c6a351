"""What a command asks Hydra to sweep, where that happens, and the lines around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.config.check import MAX_JOBS_CHECKED, check, job_overrides
from src.config.errors import ConfigError
from src.config.hydra_private import loader, parse
from src.config.identity import identity, plain, what_matters
from src.config.resolvers import run_name
from src.config.sweep import SUMMARY, Sweep, find_sweep, runs_in


@dataclass(frozen=True)
class _Multirun:
    """Overrides of a sweep, those of an experiment that is one in front, and the folder if one was named."""

    overrides: list[str]
    folder: Path | None


def multirun(overrides: list[str], *, flag: bool) -> _Multirun | None:
    """What is swept, or None where the command is one run.

    Args:
        overrides: as typed.
        flag: whether -m was typed; an experiment may be a sweep without.

    Raises:
        ConfigError: an override cannot be read.
    """
    with loader() as hydra:
        parsed, _ = hydra.split(o for o in parse(overrides) if not o.is_sweep_override())
        try:
            cfg = hydra.base(parsed)
            if not flag and cfg.hydra.mode != RunMode.MULTIRUN:
                return None
            params = OmegaConf.select(cfg, "hydra.sweeper.params") or {}
            named = any(o.key_or_group == "hydra.sweep.dir" for o in parsed)
            folder = Path(cfg.hydra.sweep.dir) if named else None
        except (HydraException, OmegaConfBaseException, ValueError):
            params, folder = {}, None  # a mistake, which the check of the jobs tells better
            if not flag:
                return None
    return _Multirun([f"{key}={value}" for key, value in params.items()] + overrides, folder)


def named_jobs(
    overrides: list[str], *, flag: bool, ignore: Sequence[str] = ()
) -> list[tuple[str, DictConfig]]:
    """The name and configuration of each job: its values that not all jobs have; no name for a single run.

    Args:
        overrides: as typed.
        flag: whether -m was typed.
        ignore: keys that are left out of the names.

    Raises:
        ConfigError: a job that cannot work, or too many of them.
    """
    whole = multirun(overrides, flag=flag)
    if whole is None:
        return [("", check(overrides, sweep=False)[0])]
    typed = job_overrides(whole.overrides)
    if len(typed) > MAX_JOBS_CHECKED:
        raise ConfigError(f"more than {MAX_JOBS_CHECKED} jobs are too many here: sweep less.")
    common = set.intersection(*map(set, typed))
    own = [[o for o in job if o not in common and o.partition("=")[0] not in ignore] for job in typed]
    names = [run_name(",".join(job)) if job else "" for job in own]
    return list(zip(names, check(whole.overrides, sweep=True), strict=True))


def place(whole: _Multirun, checked: list[DictConfig]) -> Sweep:
    """Find and lock the folder of a sweep, whose first jobs are `checked`.

    Raises:
        ConfigError: another process works at the sweep.
    """
    configs = [plain(cfg) for cfg in checked]
    jobs = [identity(what_matters(config)) for config in configs]
    jobs += [" ".join(overrides) for overrides in job_overrides(whole.overrides)[len(jobs) :]]
    first = configs[0]
    parent = Path(first["paths"]["output_dir"]) / first["task_name"] / "multiruns"
    return find_sweep(whole.folder, parent, jobs, anew=first["rerun"] == "all")


def opening(sweep: Sweep) -> str:
    """The line that a sweep begins with."""
    done, total = sweep.count("completed"), len(sweep.jobs)
    if done >= total:
        return (
            f"all {total} jobs of this sweep were done before, in {sweep.folder}: nothing is trained. If the "
            f"code has changed since, rerun=all does them again, in a new folder."
        )
    if runs := runs_in(sweep.folder):
        damaged = [
            f"{folder}: {SUMMARY} is damaged: nobody knows how the run ended, and its job is trained again."
            for folder, facts in runs.items()
            if not facts
        ]
        goes_on = f"sweep folder: {sweep.folder} resumes: {done} of {total} jobs are done"
        return "\n".join([*damaged, goes_on])
    return f"sweep folder: {sweep.folder} ({total} jobs)"


def ending(sweep: Sweep, *, stopped: bool) -> str | None:
    """What has to be said of a sweep that is not complete, in one line."""
    total, done = len(sweep.jobs), sweep.count("completed")
    if stopped:
        return f"stopped: {done} of {total} jobs are done. The same command resumes it in {sweep.folder}."
    failed = [folder.name for folder, facts in runs_in(sweep.folder).items() if _has_failed(facts)]
    if failed:
        return (
            f"{len(failed)} of {total} jobs failed, in {sweep.folder}: {', '.join(failed)}. The same command "
            f"with rerun=failed tries them again."
        )
    if done < total:
        return f"{total - done} of {total} jobs are not done, in {sweep.folder}: the same command resumes it."
    return None


def _has_failed(facts: dict[str, object]) -> bool:
    """Whether a run ended in an error, not by being cut off."""
    status = str(facts.get("status"))
    return status.startswith("failed") and status != "failed: interrupted"
