"""Where a run's numbers and pictures go: `metrics.csv`, and what each kind of logger needs beside that.

`metrics.csv` and TensorBoard's event files continue after a cut. A logger of another kind gets metrics and no
pictures; to show them there, register one function of `log_picture`.
"""

import csv
from argparse import Namespace
from collections.abc import Mapping, Sequence
from functools import singledispatch
from io import BytesIO
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary

from src.drawing.sheet import Png
from src.files import atomic_write
from src.lightning_private import event_file
from src.runs.checkpoint_file import resume_point


class CurvesFile(Logger):
    """One row a call in `metrics.csv`, with columns in alphabetical order and `step` among them.

    A file that is there already belongs to a run that was cut off: rows before the step that it continues
    from stay, later ones go, for they are done again. (Lightning's CSVLogger would delete the file.)

    Args:
        save_dir: the run's folder.
    """

    def __init__(self, *, save_dir: str) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"
        self.point = resume_point(save_dir)  # now: the run will replace its checkpoint
        self.columns: list[str] | None = None  # None: nothing read or written yet

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        row = {**metrics, "step": step}
        rows = self.rows_to_keep() if self.columns is None else None
        columns = sorted({*row, *(self.columns or ()), *(rows[0] if rows else ())})
        if columns != self.columns:
            replace_rows(self.path, columns, read_rows(self.path) if rows is None else rows)
            self.columns = columns
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, columns).writerow(row)

    def rows_to_keep(self) -> list[dict[str, str]]:
        """What the file holds of the steps before the run's checkpoint."""
        return rows_before(self.point.step, read_rows(self.path)) if self.point else []

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """They are in summary.json and config.json."""


class Board(TensorBoardLogger):
    """Event files in a run's folder; a resumed run takes back what came after its checkpoint.

    Args:
        save_dir: the run's folder.
    """

    def __init__(self, *, save_dir: str) -> None:
        point = resume_point(save_dir)
        super().__init__(
            save_dir,
            name="",
            version="",
            default_hp_metric=False,  # else the first metric of every run is an empty -1
            purge_step=point.step if point else None,
        )


@singledispatch
def log_picture(logger: Logger, tag: str, picture: Png, step: int) -> None:
    """Show a picture as `tag` at an optimizer step."""


@log_picture.register
def _(logger: TensorBoardLogger, tag: str, picture: Png, step: int) -> None:
    # `SummaryWriter.add_image` would unpack the picture and pack it once more
    image = Summary.Image(
        height=picture.height, width=picture.width, colorspace=3, encoded_image_string=picture.content
    )
    summary = Summary(value=[Summary.Value(tag=tag, image=image)])
    event_file(logger).add_summary(summary, step)


@log_picture.register
def _(logger: WandbLogger, tag: str, picture: Png, step: int) -> None:
    logger.log_image(tag, [Image.open(BytesIO(picture.content))], step)


@log_picture.register
def _(logger: MLFlowLogger, tag: str, picture: Png, step: int) -> None:
    image = Image.open(BytesIO(picture.content))
    logger.experiment.log_image(logger.run_id, image, key=tag, step=step)


@singledispatch
def close(logger: Logger, *, failed: bool) -> None:
    """End what the logger began for a run; most loggers need nothing."""


@close.register
def _(_: WandbLogger, *, failed: bool) -> None:
    # else the next job of a sweep would write into this run
    import wandb

    if wandb.run is not None:
        wandb.run.finish(exit_code=int(failed))


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a header; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def rows_before(step: int, rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Rows of earlier steps; a last one that was cut off in the middle is no row."""
    return [row for row in rows if None not in row.values() and int(row["step"]) < step]


def replace_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a CSV file in one move, so that a kill leaves the old or the new one."""
    with atomic_write(path) as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
