"""`report.html`: a whole comparison in one file that needs no network, and that can be sent and zipped.

Next to its runs, that is: links to their folders are relative.
"""

import csv
import json
import os
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from src.compare.about import caveats, commands, settings
from src.compare.atlas import Atlas, plan_atlas, same_test_set
from src.compare.charts import VariantHistory, color, cost_charts, dash, learning_curves, step_charts
from src.compare.classes import class_names, class_table, most_confused
from src.compare.histories import read_history
from src.compare.leaderboard import Leaderboard, Row
from src.compare.runs import Run
from src.drawing.mistakes import percent
from src.files import write_text
from src.metrics.predictions import SavedPredictions
from src.runs.predictions import NAME as PREDICTIONS
from src.runs.predictions import read_answers
from src.runs.summary import one_line
from src.runs.table import duration

NAME = "report.html"
PAGE = Path(__file__).with_name("page")
SHOWN = 12  # variants in charts


@dataclass(frozen=True)
class _Entry:
    """A row of the leaderboard, and how its variant looks everywhere: `place` counts from 0."""

    row: Row
    place: int

    @property
    def name(self) -> str:
        return self.row.variant.name

    @property
    def color(self) -> str:
        return color(self.place)

    @property
    def dash(self) -> str:
        return dash(self.place)


def write_report(board: Leaderboard, out: Path, atlas: Atlas | None = None) -> Path:
    """Leave `report.html` in `out`, and return its path; what a run's files lack is left out and told.

    Args:
        board: the variants, ranked.
        out: an existing folder.
        atlas: with pictures; without it, the error atlas has none.
    """
    entries = [_Entry(row, place) for place, row in enumerate(board.rows)]
    shown = [entry for entry in entries if entry.row.n][:SHOWN]
    if atlas is None:
        atlas = plan_atlas([entry.row.variant for entry in entries])
    told, problems = histories(shown)
    said, unread = answers(shown)
    alike = bool(said) and same_test_set([(entry.row.variant, found) for entry, found in said])
    page = environment(out).get_template("report.html")
    text = page.render(
        plotly_js=Markup(get_plotlyjs()),
        written=time.strftime("%Y-%m-%d %H:%M"),
        title=f"Comparison: {', '.join(board.columns)}" if board.columns else "One variant",
        board=board,
        entries=entries,
        entry_of={entry.name: entry for entry in entries},
        shown=shown,
        hidden=sum(entry.row.n > 0 for entry in entries) - len(shown),
        runs=(runs := [run for row in board.rows for run in row.variant.runs]),
        commands=commands(runs),
        caveats=caveats(board),
        settings=[(entry, settings(entry.row.variant.runs[0])) for entry in entries],
        sections=[
            ("curves", "Learning curves", learning_curves(told)),
            ("cost", "Accuracy against cost", cost_charts(told)),
            ("steps", "Learning rate and weight updates", step_charts(told)),
        ],
        problems=_by_variant(problems + unread),
        classes=class_table([found for _, found in said]) if alike else None,
        class_entries=[entry for entry, _ in said],
        confusions=confusions(said) if alike else [],
        atlas=atlas,
    )
    path = out / NAME
    write_text(path, text)
    return path


def environment(out: Path) -> Environment:
    """Templates of the page; links are relative to `out`."""
    env = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {
        "link": lambda run: quote(Path(os.path.relpath(run.folder, out.resolve())).as_posix()),
        "plain": lambda figure: json.loads(figure.to_json()),
        "webp": lambda picture: f"data:image/webp;base64,{b64encode(picture).decode()}",
        "duration": duration,
        "percent": percent,
        "zip": partial(zip, strict=True),
    }
    return env


_Problem = tuple[str, Run, str]  # variant, run, and what is missing


def histories(entries: Sequence[_Entry]) -> tuple[list[VariantHistory], list[_Problem]]:
    """What the completed runs' files say about their training, and what they do not."""
    told, problems = [], []
    for entry in entries:
        read = [(run, read_history(run)) for run in entry.row.variant.counted]
        told.append(VariantHistory(entry.name, entry.place, [history for _, history in read]))
        problems += [(entry.name, run, problem) for run, history in read for problem in history.problems]
    return told, problems


def answers(entries: Sequence[_Entry]) -> tuple[list[tuple[_Entry, list[SavedPredictions]]], list[_Problem]]:
    """What the completed runs said about the test images; a variant without any is left out."""
    said, problems = [], []
    for entry in entries:
        found = []
        for run in entry.row.variant.counted:
            try:
                found.append(read_answers(run.folder / PREDICTIONS))
            except FileNotFoundError:
                problems.append(
                    (entry.name, run, f"no classes and no confusions: {PREDICTIONS} is not there")
                )
            except (OSError, ValueError, csv.Error) as error:
                problems.append((entry.name, run, f"no classes and no confusions: {one_line(error)}"))
        if found:
            said.append((entry, found))
    return said, problems


def _by_variant(problems: Sequence[_Problem]) -> dict[tuple[str, str], list[Run]]:
    """(variant, what is missing) -> the runs that miss it."""
    found: dict[tuple[str, str], list[Run]] = {}
    for name, run, problem in problems:
        found.setdefault((name, problem), []).append(run)
    return found


def confusions(said: Sequence[tuple[_Entry, list[SavedPredictions]]]) -> list[tuple[_Entry, Any]]:
    """The most frequent mistakes of each variant."""
    names = class_names([runs for _, runs in said])
    return [(entry, most_confused(runs, names)) for entry, runs in said]
