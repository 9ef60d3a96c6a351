"""Search hyperparameters: `python -m src.tune [search=…] [trials=…] [group=option …] [key=value …]`."""

import json
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from omegaconf import DictConfig
from optuna.distributions import distribution_to_json

from src.command import Arguments, command, results_in
from src.config.between_jobs import free_memory
from src.config.checked_json import dump_checked, load_checked
from src.config.console import log_to
from src.config.errors import ConfigError
from src.config.fresh import compose_config, variant_name
from src.config.help import headline
from src.config.identity import identity, plain, what_matters
from src.config.resolvers import make_folder, new_folder, run_name
from src.files import write_text
from src.runs.table import shown
from src.tune.search_space import DEFAULT, Space, search_space, searches, split

if TYPE_CHECKING:
    from optuna import Study

    from src.tune.study import Pruning

log = logging.getLogger(__name__)

OWN = {"search": "", "trials": "20", "study": ""}
HELP = """\
Search hyperparameters (Optuna): TPE suggests values (Bergstra et al. 2011), trials that fall behind the
median of those before are pruned after an epoch, and the best val/acc wins. The test set is not touched.

  python -m src.tune [search=<name>] [trials=20] [study=<name>] [key=<space> …] [key=value …]

  key=<space>     what is varied, as Hydra writes sweeps (quote it for the shell):
                    optimizer=sgd,adamw                           one of these (or choice(sgd,adamw))
                    'loss.label_smoothing=interval(0,0.2)'        a number
                    'optimizer.lr=tag(log,interval(1e-3,0.5))'    a number, evenly on a logarithmic axis
                    'model.width=int(interval(8,64))'             a whole number
                    'trainer.max_epochs=range(5,21,5)'            5, 10, 15 or 20
  search=<name>   a name from the list below, or a YAML file with a line `key: <space>` each; default where
                  no space is typed, and beside one only if given
  trials=20       how many trials the study has in the end, pruned and failed ones included
  study=<name>    its folder, or a name in outputs/<task_name>/tune/; the search and the overrides if not
                  given

Every other override is as for src.train, the same in every trial; what you set is not searched.
seed=<k> seeds every training, and with it the search.

The same command again continues until there are as many trials, whatever stopped it, and repeats what was
not finished; typed in several terminals, it shares the work. Each trial is a run in the study's folder.
In the end: a table, trials.csv, study.html (Optuna's figures: history, curves, importance, parallel
coordinates, slices), and the command that trains the best values again, with a test.

Examples:
  python -m src.tune experiment=quickstart trials=30
  python -m src.tune experiment=quickstart norm=bn,ln 'optimizer.lr=tag(log,interval(0.01,0.5))'
  python -m src.tune search=schedule experiment=cpu trainer.max_epochs=5 trials=40
  python -m src.tune search=my_space.yaml data=digits study=mine

Searches:"""


def help_text() -> str:
    return "\n".join([HELP, *(f"  {path.stem:<15} {headline(path)}" for path in searches())])


@command(help_text, OWN)
def main(given: Arguments) -> int:
    """The command; returns its exit code: 1 also where it was stopped or no trial completed."""
    total = whole_number(given.own["trials"])
    typed, overrides = split(given.overrides)
    cfg = _base_config(overrides)
    which = given.own["search"] or ("" if typed else DEFAULT)
    space = search_space(which, typed, overrides)
    names = [f"search={Path(which).stem}", *given.overrides] if which else given.overrides
    folder = _study_folder(given.own["study"] or variant_name(names), cfg)
    line = shlex.join(["python", "-m", "src.tune", *given.typed])
    begin(folder, identity(what_matters(plain(cfg))), line, space)
    with results_in(folder, "tune.log", show=cfg.traceback):
        return tune(folder, cfg, overrides, space, total)


def tune(folder: Path, cfg: DictConfig, overrides: list[str], space: Space, total: int) -> int:
    """Run the trials and report what came of them, also when Ctrl-C stops them."""
    from src.notebook import compose, train_in
    from src.runs.summary import read_summary
    from src.tune.study import open_study, search

    def objective(number: int, values: list[str], pruning: "Pruning") -> float:
        experiment = compose(*overrides, *values)
        run_dir = Path(new_folder(str(folder), str(number), run_name(",".join(values))))
        try:
            train_in(run_dir, experiment, callbacks=[pruning], test=False)
        finally:
            log_to(folder / "tune.log")
        free_memory()
        return float(read_summary(run_dir)["val/acc"])

    stopped = False
    try:
        search(folder, space, objective, total=total, seed=cfg.seed)
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the one into the other
        stopped = True
        log.info("stopped: the same command resumes it.")
    completed = report(open_study(folder), folder, overrides)
    return 0 if completed and not stopped else 1


def report(study: "Study", folder: Path, overrides: Sequence[str]) -> bool:
    """Write the table and the figures in the study's folder; False if no trial was completed."""
    from src.tune.trials import best_table, counts_line, ranked, rows, write_figures, write_trials

    found = rows(study.get_trials(deepcopy=False))
    log.info("\n%s", counts_line(found))
    with FileLock(folder / "study.lock"):
        write_trials(folder / "trials.csv", found)
        best = ranked(found)
        if not best:
            log.error("error: no trial was completed: see %s.", shown(folder / "trials.csv"))
            return False
        write_figures(folder / "study.html", study)
    values = [f"{name}={best[0][name]}" for name in study.trials[best[0]["trial"]].params]
    log.info("\n%s\n", best_table(found))
    log.info("best:    %s", shlex.join(["python", "-m", "src.train", *overrides, *values]))
    log.info("         the best of many is lucky, too: add -m and seed=1,2,3 to know how much.")
    log.info("results: %s", shown(folder))
    return True


def whole_number(given: str) -> int:
    if not given.isdecimal() or int(given) < 1:
        raise ConfigError(f"trials must be a whole number from 1: got {given}.")
    return int(given)


def _base_config(overrides: list[str]) -> DictConfig:
    """What all trials share.

    Raises:
        ConfigError: the overrides cannot work, or leave nothing to choose trials by.
    """
    cfg = compose_config(overrides, OWN, command="a trial")
    if not (cfg.data.num_val and cfg.trainer.limit_val_batches):
        raise ConfigError(
            "trials are chosen by val/acc: data.num_val and trainer.limit_val_batches must be above 0."
        )
    if cfg.trainer.devices != 1 or cfg.trainer.strategy != "auto":
        raise ConfigError(
            f"a trial trains on one device: got trainer.devices={cfg.trainer.devices} "
            f"trainer.strategy={cfg.trainer.strategy}. Start the same command once a device instead."
        )
    return cfg


def _study_folder(study: str, cfg: DictConfig) -> Path:
    """The folder that a study's name or path stands for."""
    return Path(study) if "/" in study else Path(cfg.paths.output_dir) / cfg.task_name / "tune" / study


def begin(folder: Path, what: str, command: str, space: Space) -> None:
    """Make a study's folder, or see that the one that is there searches the same.

    Args:
        folder: of the study.
        what: identity of what its trials share.
        command: the command that is asking.
        space: what it searches.

    Raises:
        ConfigError: the folder holds another study, or its study.json is damaged.
        OSError: it cannot be made.
    """
    spaces = {name: json.loads(distribution_to_json(entry)) for name, entry in space.items()}
    facts: dict[str, Any] = {"command": command, "identity": what, "space": spaces}
    make_folder(folder)
    with FileLock(folder / "study.lock"):
        path = folder / "study.json"
        if not path.is_file():
            write_text(path, dump_checked(facts))
        try:
            begun = load_checked(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(
                f"{path} is damaged ({error}). The trials are in journal.log: remove {path.name} and repeat "
                f"the command that began the study."
            ) from None
    if begun | {"command": command} != facts:
        raise ConfigError(
            f"{folder} was begun by another command: {begun.get('command')}. Repeat it, or give another "
            f"study=<name>."
        )
