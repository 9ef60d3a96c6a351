"""Compare runs: `python -m src.compare <folders or globs> [out=<folder>]`."""

import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src.command import Arguments, command
from src.compare.runs import below, expand, find_runs
from src.config.cli import fail
from src.config.errors import ConfigError
from src.config.finished import unquoted
from src.config.resolvers import make_folder, new_folder
from src.runs.table import shown

if TYPE_CHECKING:
    from src.compare.leaderboard import Leaderboard

log = logging.getLogger(__name__)

HELP = """\
Rank the variants of finished runs: which is better, and is that more than noise?

  python -m src.compare <folder or glob> … [out=<folder>]

  <folder>      a run, a sweep (outputs/<task_name>/multiruns/<time>), or any folder above them
  out=<folder>  where results go; if not given, the sweep's own folder if one sweep is compared, else
                outputs/compare/<time>. What an earlier comparison left there is replaced.

Runs that differ in nothing but the seed are one variant. Variants are ranked by mean validation accuracy;
a paired t-test over shared seeds says which of them the leader cannot be told from. Writes report.html
(one page for any browser: curves, classes, the same mistakes beside each other), results.csv and results.md.
Failed runs are listed, not counted.

Examples:
  python -m src.compare outputs/train/multiruns/<time>
  python -m src.compare outputs/train/runs 'outputs/*/multiruns/2611*' out=outputs/norms"""


@command(HELP, None)
def main(given: Arguments) -> int:
    """The command; returns its exit code: 1 also where no run could be read."""
    places, out = places_and_out(given.typed)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    try:
        board = conclude(places, out)
    except OSError as error:
        fail(str(error), code=1)
    return 0 if board else 1


def places_and_out(args: Sequence[str]) -> tuple[list[str], Path]:
    """What to compare, and the folder for results. The names of runs hold `=`: what exists is a place.

    Raises:
        ConfigError: something that is neither a place nor `out=`, or no runs.
    """
    places = [arg for arg in args if expand(arg)]
    out = ""
    for arg in args:
        if arg.startswith("out=") and arg not in places:
            out = unquoted(arg.removeprefix("out="))
        elif arg not in places:
            raise ConfigError(
                f"no folder or glob is called {arg!r}. Give folders with runs, such as "
                f"outputs/train/multiruns/<time>, and out=<folder> if you like."
            )
    if not places:
        raise ConfigError(
            "what should be compared? Give folders with runs, such as outputs/train/multiruns/<time>; "
            "--help shows more."
        )
    if not any(next(below(path), None) for place in places for path in expand(place)):
        raise ConfigError(f"no runs in {', '.join(places)}: runs are folders with a summary.json.")
    if Path(out).is_file():
        raise ConfigError(f"out={out} is a file: give a folder.")
    return places, Path(out) if out else _default_out(places)


def _default_out(places: Sequence[str]) -> Path:
    """The one sweep that is compared, or a new folder."""
    folder = Path(places[0]).resolve()
    sweep = (folder / "multirun.yaml").is_file() or folder.parent.name == "multiruns"
    if len(places) == 1 and sweep:
        return folder
    outputs = os.environ.get("OUTPUT_DIR", "outputs")
    return Path(new_folder(f"{outputs}/compare", time.strftime("%y%m%d-%H%M")))


def conclude(places: Sequence[str | Path], out: Path) -> "Leaderboard | None":
    """Rank what lies in `places`; write a report and tables to `out`, and log the table.

    Returns:
        None where there is no run; a run that cannot be read is named and left out.

    Raises:
        OSError: `out` cannot be written to.
    """
    runs = find_runs(places)
    if not runs:
        log.error("error: no runs in %s.", ", ".join(map(str, places)))
        return None
    from src.compare.atlas import plan_atlas
    from src.compare.leaderboard import leaderboard
    from src.compare.report import write_report
    from src.compare.results import terminal_notes, terminal_table, write_csv, write_markdown

    board = leaderboard(runs)
    make_folder(out)
    write_csv(board, out)
    write_markdown(board, out)
    atlas = plan_atlas([row.variant for row in board.rows])
    if atlas.shelves:
        from src.compare.atlas_pictures import illustrate

        atlas = illustrate(atlas)
    report = write_report(board, out, atlas)
    log.info("\n%s\n\n%s\n", terminal_table(board), terminal_notes(board))
    log.info("results: %s", shown(out))
    log.info("report:  %s", shown(report))
    return board
