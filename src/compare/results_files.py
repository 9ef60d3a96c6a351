"""`results.csv` and `results.md`: a leaderboard for spreadsheets and for GitHub."""

import csv
import io
import os
from pathlib import Path
from urllib.parse import quote

from src.compare.leaderboard import Leaderboard, Row
from src.compare.results import Column, columns, notes
from src.compare.variants import written
from src.files import write_text

CSV, MARKDOWN = "results.csv", "results.md"


def write_markdown(board: Leaderboard, out: Path) -> None:
    """`results.md` in the folder `out`: a table for GitHub, with links to the runs."""
    shown = [*columns(board), Column("runs", lambda row: links(row, out), 0, right=False)]
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
