"""Names and types of command-line overrides, checked before anything heavy is imported.

Every problem is a `ConfigError` of one line: what was given, what is valid, what to do.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, islice, product
from typing import NamedTuple

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from src.config.arguments import arguments_exist
from src.config.errors import ConfigError, first_line, plain_words, renamed
from src.config.keys import all_keys, check_exists, check_key, find, nearest
from src.config.processes import process_problems
from src.config.resolvers import CONF_DIR, NOT_COMPOSED
from src.config.rules import problems
from src.config.when import apply, apply_when

NOTHING = ("null", "[]", "{}", "False")  # what other templates type for an option that is none
MAX_JOBS = 10_000  # of a sweep
MAX_JOBS_CHECKED = 256  # of a sweep, so that a huge one starts soon; a later bad job fails alone


class Job(NamedTuple):
    """A composed configuration without Hydra's part, and the chosen option of each group."""

    cfg: DictConfig
    options: dict[str, str]


def check(overrides: list[str], *, sweep: bool, config_name: str = "train") -> list[DictConfig]:
    """The configurations of `check_jobs`."""
    return [job.cfg for job in check_jobs(overrides, sweep=sweep, config_name=config_name)]


def check_jobs(overrides: list[str], *, sweep: bool, config_name: str = "train") -> list[Job]:
    """Compose the jobs that `overrides` ask for, the first `MAX_JOBS_CHECKED` of them.

    Raises:
        ConfigError: one of them cannot be composed or makes no sense.
    """
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        assert isinstance(loader, ConfigLoaderImpl)
        parsed = parse(overrides, loader)
        if sweep:
            parsed = last_of_each(parsed)
        for override in parsed:
            check_option(override, loader)
            if override.is_sweep_override() and not sweep:
                raise ConfigError(
                    f"{override.input_line} asks for several runs: add -m (python -m src.train -m "
                    f"{override.input_line}), or give one value."
                )
        check_count(parsed)
        check_hydra_keys(parsed, config_name)
        bases: dict[tuple[str, ...], Job] = {}
        given = {o.key_or_group: o.value() for o in parsed if o.key_or_group.startswith("hydra")}
        launcher = str(given.get("hydra/launcher", "basic"))
        has_folder = "hydra.run.dir" in given
        found = [check_job(job, loader, config_name, bases) for job in islice(jobs(parsed), MAX_JOBS_CHECKED)]
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


def check_count(parsed: list[Override]) -> None:
    """Check that every sweep has values, and all of them together not too many.

    Raises:
        ConfigError: from Hydra's own reading of the values, too.
    """
    total = 1
    for override in parsed:
        if override.is_sweep_override():
            try:
                values = list(islice(override.sweep_string_iterator(), MAX_JOBS + 1))
            except Exception as error:  # range(0,5,0)
                raise ConfigError(f"cannot read {override.input_line!r} ({first_line(error)}).") from None
            if not values:
                raise ConfigError(f"{override.input_line} sweeps over nothing: give at least one value.")
            total *= len(values)
    if total > MAX_JOBS:
        raise ConfigError(f"a sweep of more than {MAX_JOBS} runs is not what anybody wants: sweep less.")


def job_overrides(overrides: list[str]) -> list[list[str]]:
    """The overrides of all the jobs of a sweep, in their order."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        assert isinstance(loader, ConfigLoaderImpl)
        return list(jobs(last_of_each(parse(overrides, loader))))


def last_of_each(parsed: list[Override]) -> list[Override]:
    """Of several overrides of one key the last, in the place of the first: as Hydra's sweeper does it."""
    return list({o.get_key_element(): o for o in parsed}.values())


def parse(overrides: list[str], loader: ConfigLoaderImpl) -> list[Override]:
    """Parse overrides by Hydra's grammar."""
    parsed = []
    for text in overrides:
        try:
            found = OverridesParser.create(config_loader=loader).parse_overrides([text])
            if not found[0].key_or_group:
                raise HydraException("there is no key")
            parsed += found
        except (HydraException, ValueError, RecursionError):
            raise ConfigError(
                f"cannot read {text!r}. Overrides look like optimizer.lr=0.1; quote "
                f"values that hold commas, equals signs or brackets: 'key=\"a,b\"'."
            ) from None
    return parsed


def check_option(override: Override, loader: ConfigLoaderImpl) -> None:
    """Check that `group=option` names an option that exists."""
    group = override.key_or_group
    if group in NOT_COMPOSED:
        raise ConfigError(f"{group} is no group of a run: it is for python -m {NOT_COMPOSED[group]}.")
    options = loader.get_group_options(group)
    if not options or override.is_delete():
        return
    given = override.sweep_string_iterator() if override.is_sweep_override() else [override.value()]
    for value in ("null" if value is None else str(value) for value in given):
        if value not in options:
            near = nearest("none" if value in NOTHING else value, list(options), f"{group}=")
            raise ConfigError(
                renamed(f"{group}/{value}")
                or f"{group}={value} does not exist.{near} "
                f"Valid: {', '.join(o for o in options if not o.startswith('_'))}."
            )


def check_hydra_keys(parsed: list[Override], config_name: str) -> None:
    """Check that keys such as `hydra.launcher.n_jobs` exist; resolving their values would make folders."""
    values = [o for o in parsed if o.key_or_group.startswith("hydra.")]
    if not values:
        return
    options = [o.input_line or "" for o in parsed if o.key_or_group.startswith("hydra/")]
    base = compose(config_name, options, return_hydra_config=True)
    for override in values:
        check_exists(override, base)
        try:
            compose(config_name, [*options, override.input_line or ""], return_hydra_config=True)
        except HydraException as error:
            raise ConfigError(f"{plain_words(error)}: {first_line(error.__cause__ or error)}.") from None


def check_job(
    overrides: list[str], loader: ConfigLoaderImpl, config_name: str, bases: dict[tuple[str, ...], Job]
) -> Job:
    """Check one job's keys, types and values; `bases` keeps what one choice of options composes to."""
    groups, values = groups_and_values(parse(overrides, loader), loader)
    chosen = tuple(o.input_line or "" for o in groups)
    try:
        if chosen not in bases:
            bases[chosen] = compose_base(config_name, chosen)
        cfg = bases[chosen].cfg.copy()
        apply_all(values, cfg, bases[chosen].cfg)
        check_whole(cfg)
    except ConfigError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(plain_words(error)) from None
    return Job(cfg, bases[chosen].options)


def compose_base(config_name: str, chosen: Sequence[str]) -> Job:
    """What a choice of options composes to, before any value is set."""
    cfg = compose(config_name, [*chosen, "paths.run_dir=."], return_hydra_config=True)  # a job has a folder
    options = dict(cfg.hydra.runtime.choices)
    with open_dict(cfg):
        del cfg["hydra"]
    check_when(cfg)
    apply_when(cfg, options)
    return Job(cfg, options)


def check_when(cfg: DictConfig) -> None:
    """Check that each block of `when` names an option that exists."""
    loader = GlobalHydra.instance().config_loader()
    for choice in map(str, cfg.get("when") or ()):
        group, _, option = choice.partition("=")
        options = loader.get_group_options(group)
        if option not in options:
            near = nearest(option, options, f"{group}=") if options else ""
            raise ConfigError(
                f"when: {choice} is no option of a group.{near} It is written <group>=<option>."
            )


def groups_and_values(
    parsed: list[Override], loader: ConfigLoaderImpl
) -> tuple[list[Override], list[Override]]:
    """Overrides that choose a group's option, and those that set a value."""
    kinds = (ObjectType.GROUP, ObjectType.CONFIG)
    is_group = [any(loader.get_group_options(o.key_or_group, kind) for kind in kinds) for o in parsed]
    chosen = [o for o, yes in zip(parsed, is_group, strict=True) if yes]
    return chosen, [o for o, yes in zip(parsed, is_group, strict=True) if not yes]


def apply_all(values: list[Override], cfg: DictConfig, base: DictConfig) -> None:
    """Check values against the keys and types of `base`, and set them in `cfg`."""
    for override in values:
        if not override.key_or_group.startswith("hydra"):
            check_key(override, base)
            apply(override, cfg)


def check_whole(cfg: DictConfig) -> None:
    """Raise `ConfigError` if a value is missing, cannot be resolved or makes no sense."""
    for key in all_keys(cfg):
        if (node := find(key, cfg)) is not None and node._is_missing():
            raise ConfigError(f"{key} must be given: add {key}=<value> to the command.")
    OmegaConf.to_container(cfg, resolve=True)
    for problem in chain(problems(cfg), arguments_exist(cfg)):
        raise ConfigError(problem)
