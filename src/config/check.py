"""Names and types of command-line overrides, checked before anything heavy is imported.

Every problem is a `ConfigError` of one line: what was given, what is valid, what to do.
"""

from collections.abc import Iterator
from itertools import chain, islice, product
from typing import NamedTuple

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.config.arguments import arguments_exist
from src.config.errors import ConfigError, first_line, nearest, plain_words, renamed
from src.config.hydra_private import Loader, Override, loader, parse, without_hydra
from src.config.identity import flattened
from src.config.keys import check_exists, check_key
from src.config.processes import process_problems
from src.config.resolvers import NOT_COMPOSED
from src.config.rules import problems

_NOTHING = ("null", "[]", "{}", "False")  # what other templates type for an option that is none
_MAX_JOBS = 10_000  # of a sweep
MAX_JOBS_CHECKED = 256  # of a sweep, so that a huge one starts soon; a later bad job fails alone


class Job(NamedTuple):
    """A composed configuration without Hydra's part, and the chosen option of each group."""

    cfg: DictConfig
    options: dict[str, str]


def check(overrides: list[str], *, sweep: bool) -> list[DictConfig]:
    """The configurations of `check_jobs`."""
    return [job.cfg for job in check_jobs(overrides, sweep=sweep)]


def check_jobs(overrides: list[str], *, sweep: bool) -> list[Job]:
    """Compose the jobs that `overrides` ask for, the first `MAX_JOBS_CHECKED` of them.

    Raises:
        ConfigError: one of them cannot be composed or makes no sense.
    """
    with loader() as hydra:
        parsed = parse(overrides, hydra)
    if sweep:
        parsed = _last_of_each(parsed)
    given = {o.key_or_group: o.value() for o in parsed if o.key_or_group.startswith("hydra")}
    launcher = str(given.get("hydra/launcher", "basic"))
    has_folder = "hydra.run.dir" in given
    with loader() as hydra:
        for override in parsed:
            check_option(override, hydra)
            if override.is_sweep_override() and not sweep:
                raise ConfigError(
                    f"{override.input_line} asks for several runs: add -m (python -m src.train -m "
                    f"{override.input_line}), or give one value."
                )
        _check_count(parsed)
        found = [check_job(parse(job), hydra) for job in islice(jobs(parsed), MAX_JOBS_CHECKED)]
    for cfg, _ in found:
        for problem in process_problems(cfg, sweep=sweep, launcher=launcher, has_folder=has_folder):
            raise ConfigError(problem)
    return found


def jobs(parsed: list[Override]) -> Iterator[list[str]]:
    """The overrides of each job of a sweep: every combination of comma-separated values."""
    choices = [
        [f"{o.get_key_element()}={value}" for value in o.sweep_string_iterator()]
        if o.is_sweep_override()
        else [o.input_line or ""]
        for o in parsed
    ]
    yield from map(list, product(*choices))


def _check_count(parsed: list[Override]) -> None:
    """Check that every sweep has values, and all of them together not too many.

    Raises:
        ConfigError: from Hydra's own reading of the values, too.
    """
    total = 1
    for override in parsed:
        if override.is_sweep_override():
            try:
                values = list(islice(override.sweep_string_iterator(), _MAX_JOBS + 1))
            except Exception as error:  # range(0,5,0)
                raise ConfigError(f"cannot read {override.input_line!r} ({first_line(error)}).") from None
            if not values:
                raise ConfigError(f"{override.input_line} sweeps over nothing: give at least one value.")
            total *= len(values)
    if total > _MAX_JOBS:
        raise ConfigError(f"a sweep of more than {_MAX_JOBS} runs is not what anybody wants: sweep less.")


def job_overrides(overrides: list[str]) -> list[list[str]]:
    """The overrides of all the jobs of a sweep, in their order."""
    with loader() as hydra:
        return list(jobs(_last_of_each(parse(overrides, hydra))))


def _last_of_each(parsed: list[Override]) -> list[Override]:
    """Of several overrides of one key the last, in the place of the first: as Hydra's sweeper does it."""
    return list({o.get_key_element(): o for o in parsed}.values())


def check_option(override: Override, hydra: Loader) -> None:
    """Check that `group=option` names an option that exists."""
    group = override.key_or_group
    if group in NOT_COMPOSED:
        raise ConfigError(f"{group} is no group of a run: it is for python -m {NOT_COMPOSED[group]}.")
    options = hydra.get_group_options(group)
    if not options or override.is_delete():
        return
    given = override.sweep_string_iterator() if override.is_sweep_override() else [override.value()]
    for value in ("null" if value is None else str(value) for value in given):
        if value not in options:
            near = nearest("none" if value in _NOTHING else value, list(options), f"{group}=")
            raise ConfigError(
                renamed(f"{group}/{value}")
                or f"{group}={value} does not exist.{near} "
                f"Valid: {', '.join(o for o in options if not o.startswith('_'))}."
            )


def check_job(parsed: list[Override], hydra: Loader) -> Job:
    """Compose one job and check its keys, types and values."""
    options, values = hydra.split(parsed)
    try:
        base = hydra.base(options)
        cfg = job_config(base, values, hydra)
        check_whole(cfg)
    except ConfigError:
        raise
    except HydraException as error:
        _check_hydra_keys(options, hydra)
        raise ConfigError(plain_words(error)) from None
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(plain_words(error)) from None
    return Job(cfg, dict(base.hydra.runtime.choices))


def job_config(base: DictConfig, values: list[Override], hydra: Loader) -> DictConfig:
    """`base` without Hydra's part, as a job that has a folder, with these values once they are checked."""
    cfg = without_hydra(base)
    cfg.paths.run_dir = "."
    apply_values(values, cfg, hydra)
    return cfg


def apply_values(values: list[Override], cfg: DictConfig, hydra: Loader) -> None:
    """Check values against the keys and types of `cfg`, and set them."""
    before = cfg.copy()
    for override in values:
        check_key(override, before)
    try:
        hydra.apply(values, cfg)
    except HydraException as error:
        cause = error.__cause__ or error
        raise ConfigError(plain_words(cause)) from None  # type: ignore[arg-type]


def _check_hydra_keys(options: list[Override], hydra: Loader) -> None:
    """Say what is wrong with keys such as `hydra.launcher.n_jobs`, if that is why nothing can be composed."""
    others = [o for o in options if not o.key_or_group.startswith("hydra.")]
    if len(others) == len(options):
        return
    base = hydra.base(others)
    for override in options:
        if override.key_or_group.startswith("hydra."):
            check_exists(override, base)
            try:
                hydra.base([*others, override])
            except HydraException as error:
                raise ConfigError(f"{plain_words(error)}: {first_line(error.__cause__ or error)}.") from None


def check_whole(cfg: DictConfig) -> None:
    """Raise `ConfigError` if a value is missing, cannot be resolved or makes no sense."""
    for key, value in flattened(OmegaConf.to_container(cfg)):
        if value == "???":
            raise ConfigError(f"{key} must be given: add {key}=<value> to the command.")
    OmegaConf.to_container(cfg, resolve=True)
    for problem in chain(problems(cfg), arguments_exist(cfg)):
        raise ConfigError(problem)
