"""Search hyperparameters: `python -m src.tune [search=…] [trials=…] [group=option …] [key=value …]`."""

import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from src.config.between_jobs import free_memory
from src.config.cli import fail
from src.config.console import log_to
from src.config.errors import ConfigError
from src.config.finished import own_arguments
from src.config.fresh import compose_config, variant_name
from src.config.help import headline
from src.config.identity import identity, plain, what_matters
from src.config.resolvers import new_folder, run_name
from src.files import atomic_write
from src.runs.table import shown
from src.tune.search_space import Space
from src.tune.searches import begin, search_space, searches

if TYPE_CHECKING:
    from optuna import Study

    from src.tune.pruning import Pruning

log = logging.getLogger(__name__)

OWN = {"search": "default", "trials": "20", "study": ""}
HELP = """\
Search hyperparameters (Optuna): TPE suggests values (Bergstra et al. 2011), trials that fall behind the
median of those before are pruned after an epoch, and the best val/acc wins. The test set is not touched.

  python -m src.tune [search=<name>] [trials=20] [study=<name>] [group=option …] [key=value …]

  search=default  what is varied: a name from the list below, or a YAML file of your own
  trials=20       how many trials the study has in the end, pruned and failed ones included
  study=<name>    its folder, or a name in outputs/<task_name>/tune/; the search and the overrides if not
                  given

Everything else is an override as for src.train, the same in every trial; what you set is not searched.
seed=<k> seeds every training, and with it the search.

The same command again continues until there are as many trials, whatever stopped it, and repeats what was
not finished; typed in several terminals, it shares the work. Each trial is a run in the study's folder.
In the end: a table, trials.csv, history.png, importance.png, parallel.html, and the command that trains
the best values again, with a test.

A search file names keys or groups, each with {low, high} and log: true or step, or with {choices: […]}:
  optimizer: {choices: [sgd, adamw]}
  optimizer.lr: {low: 0.001, high: 0.5, log: true}
  trainer.max_epochs: {low: 5, high: 20, step: 5}

Examples:
  python -m src.tune experiment=quickstart trials=30
  python -m src.tune search=schedule experiment=cpu trainer.max_epochs=5 trials=40
  python -m src.tune search=my_space.yaml data=digits study=mine

Searches:"""


def main(args: Sequence[str]) -> int:
    """The command; returns its exit code: 0 done, 1 stopped or no trial completed, 2 wrong arguments."""
    if "--help" in args or "-h" in args:
        print(HELP, *(f"  {path.stem:<15} {headline(path)}" for path in searches()), sep="\n")
        return 0
    try:
        own, overrides = own_arguments(args, OWN)
        total = whole_number(own["trials"])
        cfg = base_config(overrides)
        space = search_space(own["search"], overrides)
        folder = study_folder(own, cfg, overrides)
        begin(
            folder, identity(what_matters(plain(cfg))), shlex.join(["python", "-m", "src.tune", *args]), space
        )
    except (ConfigError, OSError) as error:
        fail(str(error), code=2)
    return tune(folder, cfg, overrides, space, total)


def tune(folder: Path, cfg: DictConfig, overrides: list[str], space: Space, total: int) -> int:
    """Run the trials and tell what came of them, also when Ctrl-C stops them."""
    from src.notebook import compose, train_in
    from src.runs.failure import report_failure
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

    log_to(folder / "tune.log")
    stopped = False
    try:
        search(folder, space, objective, total=total, seed=cfg.seed)
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the one into the other
        stopped = True
        log.info("stopped: the same command resumes it.")
    except Exception as error:
        report_failure(error, folder, show=cfg.traceback)
        return 1
    completed = report(open_study(folder), folder, overrides)
    return 0 if completed and not stopped else 1


def report(study: "Study", folder: Path, overrides: Sequence[str]) -> bool:
    """Leave tables and pictures in the study's folder; False if there is no completed trial to tell of."""
    import optuna
    from filelock import FileLock

    from src.tune.figures import history_figure, importance_figure
    from src.tune.trials import best_table, counts_line, ranked, rows, write_trials

    found = rows(study.get_trials(deepcopy=False))
    log.info("\n%s", counts_line(found))
    with FileLock(folder / "study.lock"):
        write_trials(folder / "trials.csv", found)
        best = ranked(found)
        if not best:
            log.error("error: no trial was completed: see %s.", shown(folder / "trials.csv"))
            return False
        accuracies = {
            state: {row["trial"]: row["val/acc"] for row in found if row["state"] == state}
            for state in ("completed", "pruned")
        }
        with atomic_write(folder / "history.png", "wb") as file:
            history_figure(**accuracies).savefig(file, dpi=120)
        if len(best) >= 2:
            shares = optuna.importance.get_param_importances(study)
            with atomic_write(folder / "importance.png", "wb") as file:
                importance_figure(shares, len(best)).savefig(file, dpi=120)
            optuna.visualization.plot_parallel_coordinate(study).write_html(folder / "parallel.html")
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


def base_config(overrides: list[str]) -> DictConfig:
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


def study_folder(own: Mapping[str, str], cfg: DictConfig, overrides: Sequence[str]) -> Path:
    """The folder that `study` names, or the search and the overrides where it names none."""
    study = own["study"] or variant_name([f"search={Path(own['search']).stem}", *overrides])
    return Path(study) if "/" in study else Path(cfg.paths.output_dir) / cfg.task_name / "tune" / study
