"""All contact with private parts of Hydra, and one composition for each choice of options.

Hydra composes again whenever it is asked: to learn whether a command is a sweep, to run it, to see that a job
is legal, to run the job. It takes a tenth of a second each time, nearly all of it to read and merge the YAML
files. `Loader` takes the place of Hydra's own loader and does that once for each choice of options; values
such as `optimizer.lr=0.1` are set in a copy. It also sets the values of `when` (see `src.config.when`), which
win over those of files and lose against those that are typed.

It relies on this, none of which Hydra 1.3 promises; `tests/config/test_hydra_private.py` fails where it
changes:

- `hydra._internal.hydra` makes its loader by the name `ConfigLoaderImpl` that it has imported, for
  `hydra.main` and for `initialize_config_dir`. Between processes, pickle passes it by reference to its class.
- `load_configuration` is all that composes; it gets the overrides of a command or job as texts.
- After the files are merged, a value changes the configuration by `_apply_overrides_to_config` and beside
  that only `hydra.overrides.task` and `hydra.job.override_dirname`. What begins with `hydra.` changes more,
  such as where files are looked for: it takes part in the composition.
- `get_group_options` knows the options of a group; of `ObjectType.CONFIG` it knows single files.
- `OverridesParser` reads overrides; `input_line` is the text of one, `key_or_group` what it sets. A sweep
  is a `ChoiceSweep`, an `IntervalSweep` or a `RangeSweep`.
- `get_args_parser` makes the parser of Hydra's flags.
"""

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import hydra._internal.hydra
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from src.config.errors import ConfigError
from src.config.resolvers import CONF_DIR
from src.config.when import apply_when

__all__ = [
    "ChoiceSweep",
    "IntervalSweep",
    "Loader",
    "Override",
    "OverridesParser",
    "RangeSweep",
    "get_args_parser",
    "loader",
    "parse",
    "without_hydra",
]

NAME = "train"  # of the primary configuration
_MODES = ("hydra.mode=RUN", "hydra.mode=MULTIRUN")  # which Hydra adds to what was typed
_MAX_KEPT = 32
_kept: dict[object, DictConfig] = {}  # what choices of options compose to


class Loader(ConfigLoaderImpl):
    """Hydra's loader, which reads and merges files once for each choice of options."""

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        parsed = OverridesParser.create().parse_overrides(overrides)
        if validate_sweep_overrides:
            self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
        options, values = self.split(o for o in parsed if o.input_line not in _MODES)
        modes = [o for o in parsed if o.input_line in _MODES]
        cfg = copy.deepcopy(self._base(config_name, [o.input_line or "" for o in options], run_mode))
        self.apply([*modes, *(o for o in values if not o.is_sweep_override())], cfg)
        cfg.hydra.overrides.hydra += [o.input_line for o in modes]
        cfg.hydra.overrides.task = [o.input_line for o in parsed if not o.is_hydra_override()]
        job = cfg.hydra.job
        job.override_dirname = get_overrides_dirname(
            [o for o in parsed if not o.is_hydra_override()], **job.config.override_dirname
        )
        return cfg

    def split(self, parsed: Iterable[Override]) -> tuple[list[Override], list[Override]]:
        """Overrides that take part in the composition, and those that set a value in what it gave."""
        parts: tuple[list[Override], list[Override]] = [], []
        for override in parsed:
            parts[not (override.key_or_group.startswith("hydra") or self.chooses(override))].append(override)
        return parts

    def chooses(self, override: Override) -> bool:
        """Whether an override chooses an option of a group."""
        kinds = (ObjectType.GROUP, ObjectType.CONFIG)
        return any(self.get_group_options(override.key_or_group, kind) for kind in kinds)

    def apply(self, values: list[Override], cfg: DictConfig) -> None:
        """Set values in `cfg`."""
        self._apply_overrides_to_config(values, cfg)

    def base(self, options: Iterable[Override]) -> DictConfig:
        """What a choice of options composes to, with Hydra's part; it is not to be changed."""
        return self._base(NAME, [o.input_line or "" for o in options], RunMode.RUN)

    def _base(self, config_name: str | None, options: list[str], run_mode: RunMode) -> DictConfig:
        places = tuple(path.path.removeprefix("file://") for path in self.get_search_path().get_path())
        files = tuple((str(path), path.stat().st_mtime_ns) for path in sorted(CONF_DIR.rglob("*.yaml")))
        key = config_name, tuple(options), places, files
        if key in _kept:
            return _kept[key]
        cfg = super().load_configuration(config_name, options, run_mode, validate_sweep_overrides=False)
        apply_when(cfg, cfg.hydra.runtime.choices, self.get_group_options)
        if run_mode == RunMode.RUN:  # others may lack an option that must be given
            if len(_kept) >= _MAX_KEPT:
                _kept.clear()
            _kept[key] = cfg
        return cfg


hydra._internal.hydra.ConfigLoaderImpl = Loader  # type: ignore[attr-defined]


@contextmanager
def loader() -> Iterator[Loader]:
    """The loader of `conf/`."""
    with initialize_config_dir(str(CONF_DIR), job_name=NAME, version_base="1.3"):
        found = GlobalHydra.instance().config_loader()
        assert isinstance(found, Loader)
        yield found


def parse(overrides: Iterable[str], hydra: Loader | None = None) -> list[Override]:
    """Read overrides by Hydra's grammar; `hydra` knows the options that `glob(…)` sweeps over.

    Raises:
        ConfigError: one cannot be read.
    """
    parsed = []
    for text in overrides:
        try:
            found = OverridesParser.create(config_loader=hydra).parse_overrides([text])
            if not found[0].key_or_group:
                raise HydraException("there is no key")
            parsed += found
        except (HydraException, ValueError, RecursionError):
            raise ConfigError(
                f"cannot read {text!r}. Overrides look like optimizer.lr=0.1; quote "
                f"values that hold commas, equals signs or brackets: 'key=\"a,b\"'."
            ) from None
    return parsed


def without_hydra(cfg: DictConfig) -> DictConfig:
    """A copy of a composed configuration without Hydra's part."""
    cfg = cfg.copy()
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg
