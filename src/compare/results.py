"""A leaderboard as a table in the terminal, in `results.md` and in `results.csv`, and how to read it."""

import csv
import io
import math
import os
import textwrap
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from src.compare.leaderboard import ALPHA, Leaderboard, Row
from src.compare.runs import Run
from src.compare.statistics import Estimate
from src.compare.variants import brief, written
from src.files import write_text

CSV, MARKDOWN = "results.csv", "results.md"
WIDTH = 120  # characters of the terminal's table, where its first columns leave room for others
LINES = 40  # of the terminal's table, and of the notes: results.md has them all
_CANNOT_TELL = "cannot tell"
_VALIDATED_ON = ("data.source._target_", "data.source.name", "data.root", "data.num_val")
_STAYS = math.inf  # a column that matters as much is never left out
VARIES = 1000  # how much the first column that varies matters: more than any number but the accuracy


@dataclass(frozen=True)
class _Column:
    """A column of the tables; of those that do not fit, the one that matters least goes first."""

    title: str
    cell: Callable[[Row], str]
    matters: float
    right: bool = True


def percent(value: Estimate | None) -> str:
    """`87.77 ± 0.59`; no interval of a single value."""
    if value is None:
        return ""
    spread = "" if value.half_width is None else f" ± {100 * value.half_width:.2f}"
    return f"{100 * value.mean:5.2f}{spread}"


def verdict(row: Row) -> str:
    """What the test against the leader says."""
    if row.rank is None or row.rank == 1:
        return ""
    if row.p is None:
        return _CANNOT_TELL
    return f"≈ p={row.p:.2g}" if row.within_noise else f"p={row.p:.2g}"


def best(row: Row) -> str:
    """`88.04 (2)`: the best validation accuracy of a seed, and which seed."""
    if row.best is None:
        return ""
    return f"{100 * row.best.summary.numbers['val/acc']:.2f} ({row.best.summary.seed})"


def unfinished(row: Row) -> str:
    """`1 failed, 2 running`."""
    counts = {"failed": len(row.failures), "running": row.running}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def number(key: str, form: str) -> Callable[[Row], str]:
    """The cell of a mean over the runs."""
    return lambda row: form.format(row.numbers[key]) if key in row.numbers else ""


COLUMNS = (
    _Column("n", lambda row: str(row.n), 9),
    _Column("val acc %", lambda row: percent(row.val_acc), _STAYS, right=False),
    _Column("vs #1", verdict, 7, right=False),
    _Column("test acc %", lambda row: percent(row.test_acc), 8, right=False),
    _Column("best seed", best, 3),
    _Column("time s", number("train_seconds", "{:,.1f}"), 5),
    _Column("images/s", number("images_per_second", "{:,.0f}"), 4),
    _Column("parameters", number("num_params", "{:,.0f}"), 2),
    _Column("update", lambda row: "" if row.update is None else f"{row.update:.2e}", 1),
    _Column("ECE", number("test/ece", "{:.4f}"), 0),
    _Column("unfinished", unfinished, 6, right=False),
)


def columns(board: Leaderboard) -> list[_Column]:
    """The columns that have something to say here: rank, what varies, numbers."""
    varying = [
        _Column(name, lambda row, name=name: brief(row.variant.values[name]), VARIES - k, right=False)  # type: ignore[misc]
        for k, name in enumerate(board.columns)
    ]
    rank = _Column("#", lambda row: "-" if row.rank is None else str(row.rank), _STAYS)
    return [c for c in (rank, *varying, *COLUMNS) if any(c.cell(row) for row in board.rows)]


def terminal_table(board: Leaderboard, width: int = WIDTH, lines: int = LINES) -> str:
    """The leaderboard in lines of at most `width` characters; rank and validation accuracy always stay."""
    rows = board.rows[:lines]
    kept = {
        column: max(len(text) for text in (column.title, *map(column.cell, rows)))
        for column in columns(board)
    }
    hidden: list[str] = []
    while sum(kept.values()) + 2 * (len(kept) - 1) > width:
        least = min(kept, key=lambda column: column.matters)
        if least.matters == _STAYS:
            break
        del kept[least]
        hidden.append(least.title)
    text = [aligned([column.title for column in kept], kept)]
    text += [aligned([column.cell(row) for column in kept], kept) for row in rows]
    if len(board.rows) > lines:
        text.append(f"… and {len(board.rows) - lines} more: see results.md")
    if hidden:
        text.append(textwrap.fill(f"too wide for here: {', '.join(hidden)}; see results.md", max(width, 40)))
    return "\n".join(text)


def aligned(cells: list[str], widths: dict[_Column, int]) -> str:
    """One line: numbers to the right, words to the left."""
    padded = [
        f"{cell:>{width}}" if column.right else f"{cell:<{width}}"
        for cell, (column, width) in zip(cells, widths.items(), strict=True)
    ]
    return "  ".join(padded).rstrip()


def notes(board: Leaderboard) -> list[str]:
    """How to read the table, and what it leaves out."""
    found = [
        "Ranked by mean validation accuracy, at each run's best epoch; the test set chooses nothing. "
        "± is the 95 % confidence interval of the mean over n seeds (Student's t): none of one seed.",
        "Other numbers are means over the seeds; update is the median of ||dw|| / ||w|| in the last quarter "
        "of the training.",
    ]
    if len({_validated_on(run) for row in board.rows for run in row.variant.runs}) > 1:
        found.append("These variants were not validated on the same images: mind what the ranks compare.")
    if board.comparisons:
        found.append(
            f"vs #1: paired t-test on validation accuracy over the seeds shared with the leader, corrected "
            f"for {board.comparisons} such tests (Holm). ≈ is within noise: p is at least {ALPHA}."
        )
    if any(verdict(row) == _CANNOT_TELL for row in board.rows):
        found.append(
            f"{_CANNOT_TELL}: one seed, or fewer than two in common with the leader; seed=0,1,2 gives three."
        )
    return found + [f"{row.variant.name}: {note}" for row in board.rows for note in _exceptions(row)]


def _validated_on(run: Run) -> tuple[str, ...]:
    """What says which images validate, apart from the seed."""
    return tuple(str(run.config.get(key)) for key in _VALIDATED_ON)


def _exceptions(row: Row) -> list[str]:
    """What of a variant is not in its numbers."""
    found = []
    if row.rank is None and row.n:
        found.append("no validation accuracy, so not ranked.")
    if row.variant.repeats:
        found.append(f"{row.variant.repeats} repeated; of each seed, the newest completed run is counted.")
    seeds = defaultdict(list)
    for run in row.variant.runs:
        if run.summary.failure is not None:
            seeds[f"{run.summary.status}: {run.summary.reason}"].append(str(run.summary.seed))
    found += [f"seed {', '.join(whose)} {ending}" for ending, whose in seeds.items()]
    if row.running:
        found.append(f"{row.running} still running, or killed.")
    return found


def terminal_notes(board: Leaderboard, width: int = WIDTH, lines: int = LINES) -> str:
    """The notes in lines of at most `width` characters."""
    found = notes(board)
    text = [textwrap.fill(note, width, subsequent_indent="  ") for note in found[:lines]]
    return "\n".join(text + [f"… and {len(found) - lines} more: see results.md"] * (len(found) > lines))


def write_markdown(board: Leaderboard, out: Path) -> None:
    """`results.md` in the folder `out`: a table for GitHub, with links to the runs."""
    shown = [*columns(board), _Column("runs", lambda row: links(row, out), 0, right=False)]
    lines = [[column.title for column in shown], ["---:" if column.right else "---" for column in shown]]
    lines += [[column.cell(row).strip().replace("|", "\\|") for column in shown] for row in board.rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    text = "\n".join(f"- {note}" for note in notes(board))
    write_text(out / MARKDOWN, f"# Results\n\n{table}\n\n{text}\n")


def links(row: Row, out: Path) -> str:
    """`[0](…/run) [1](…/run)`: the folders of the counted runs, by seed."""
    return " ".join(
        f"[{run.summary.seed}]({quote(os.path.relpath(run.folder, out), safe='/,=')})"
        for run in row.variant.counted
    )


def write_csv(board: Leaderboard, out: Path) -> None:
    """`results.csv` in the folder `out`: a row a variant, numbers in full precision, accuracies as fractions.

    `runs` are the folders of all runs, relative to `out`.
    """
    numbers = sorted({key for row in board.rows for key in row.numbers})
    head = ["rank", *board.columns, "n", "seeds"]
    head += ["val/acc", "val/acc_ci95", "test/acc", "test/acc_ci95"]
    head += ["best_seed", "best_val/acc", "best_test/acc", *numbers, "update"]
    head += ["p_holm", "within_noise", "failed", "running", "failures", "runs"]
    file = io.StringIO()
    table = csv.writer(file)
    table.writerow(head)
    for row in board.rows:
        counted = row.variant.counted
        values = [written(value) for value in row.variant.values.values()]
        accuracies = [
            cell
            for value in (row.val_acc, row.test_acc)
            for cell in ((value.mean, value.half_width) if value else (None, None))
        ]
        best = row.best.summary if row.best else None
        top = best.numbers if best else {}
        table.writerow(
            [
                *(row.rank, *values, row.n, " ".join(str(run.summary.seed) for run in counted), *accuracies),
                *(best and best.seed, top.get("val/acc"), top.get("test/acc")),
                *(row.numbers.get(key) for key in numbers),
                *(row.update, row.p, row.within_noise, len(row.failures), row.running),
                "; ".join(row.failures),
                "; ".join(os.path.relpath(run.folder, out) for run in row.variant.runs),
            ]
        )
    write_text(out / CSV, file.getvalue())
