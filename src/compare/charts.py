"""The charts of a comparison, from the files of its runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from src.compare.bands import Band, Series, against, band, thinned
from src.compare.figures import Line, comparison_figure
from src.compare.histories import History

POINTS = 300  # of a line
Units = Sequence[tuple[float, str]]  # the size of a unit, and its name; large ones first
TIMES: Units = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
COMPUTE: Units = ((1.0, "PFLOP"), (1e-3, "TFLOP"), (1e-6, "GFLOP"))


@dataclass(frozen=True)
class Chart:
    """A figure under its title, with a line that says how to read it."""

    title: str
    figure: go.Figure
    note: str = ""


@dataclass(frozen=True)
class VariantHistory:
    """A variant's name and rank, and what its completed runs' files say."""

    name: str
    rank: int
    histories: Sequence[History]

    def epochs(self, metric: str) -> Band:
        """A metric by epochs done."""
        return band([history.epochs.get(metric, {}) for history in self.histories])

    def line(self, full: Band) -> Line:
        return Line(self.name, self.rank, thinned(full, POINTS))

    def steps(self, of: Callable[[History], Series]) -> Band:
        """A quantity by optimizer step."""
        return band([of(history) for history in self.histories])


def learning_curves(told: Sequence[VariantHistory]) -> list[Chart]:
    """Accuracy and loss of validation and training by epoch."""
    return drawn(
        Chart("Validation accuracy", by_epoch(told, "val/acc", "accuracy (%)", scale=100, form=".2f")),
        Chart("Validation loss", by_epoch(told, "val/loss", "cross-entropy (nats)")),
        Chart("Training accuracy", by_epoch(told, "train/acc", "accuracy (%)", scale=100, form=".2f"), TRAIN),
        Chart("Training loss", by_epoch(told, "train/loss", "training loss"), TRAIN),
    )


TRAIN = "Mean over an epoch of augmented images, while the weights change."


def by_epoch(
    told: Sequence[VariantHistory], metric: str, y: str, *, scale: float = 1.0, form: str = ".4g"
) -> go.Figure:
    lines = [one.line(one.epochs(metric)) for one in told]
    return comparison_figure(lines, x="epochs done", y=y, scale=scale, form=form, whole=True)


def cost_charts(told: Sequence[VariantHistory]) -> list[Chart]:
    """Validation accuracy against training time and against training compute."""
    seconds = [one.epochs("train/seconds") for one in told]
    pflop = [one.epochs("pflop") for one in told]
    return drawn(
        Chart("Accuracy against training time", by_cost(told, seconds, "training time", TIMES), TIME),
        Chart("Accuracy against training compute", by_cost(told, pflop, "training compute", COMPUTE), FLOP),
    )


TIME = "Seeds at the same epoch stand at their mean time, without validation, on the machine that trained."
FLOP = "Floating-point operations on all images seen: 6 for each MAC, 2 forward and 4 backward."


def by_cost(told: Sequence[VariantHistory], costs: Sequence[Band], x: str, units: Units) -> go.Figure:
    size, unit = unit_for(max((value for cost in costs for value in cost.mean), default=0.0), units)
    lines = [
        one.line(against(one.epochs("val/acc"), scaled(cost, 1 / size)))
        for one, cost in zip(told, costs, strict=True)
    ]
    return comparison_figure(lines, x=f"{x} ({unit})", y="validation accuracy (%)", scale=100, form=".2f")


def step_charts(told: Sequence[VariantHistory]) -> list[Chart]:
    """Learning rate and size of the weight updates by step."""
    rates = [one.line(one.steps(lambda history: history.lr)) for one in told]
    updates = [one.line(positive(one.steps(lambda history: history.updates))) for one in told]
    return drawn(
        Chart("Learning rate", comparison_figure(rates, x=STEP, y="learning rate"), RATE),
        Chart(
            "Size of the weight updates",
            comparison_figure(updates, x=STEP, y="‖Δw‖ / ‖w‖", form=".3e", log=True),
            "Of all parameters as one vector, in one step. Steps with a learning rate of 0 are left out.",
        ),
    )


STEP = "optimizer step"
RATE = "Variants with one schedule coincide: the better one is on top."


def drawn(*charts: Chart) -> list[Chart]:
    """The charts that have something to show."""
    return [chart for chart in charts if any(len(trace.x) for trace in chart.figure.data)]


def unit_for(largest: float, units: Units) -> tuple[float, str]:
    """(size of a unit, its name): the largest unit that goes at least once into the largest value."""
    return next((unit for unit in units if largest >= unit[0]), units[-1])


def scaled(full: Band, factor: float) -> Band:
    """The values of a band times a factor."""
    mean, low, high = ([value * factor for value in column] for column in (full.mean, full.low, full.high))
    return Band(full.x, mean, low, high, full.num_runs)


def positive(full: Band) -> Band:
    """The part of a band that a logarithmic axis can show."""
    rows = [row for row in zip(*full, strict=True) if row[2] > 0]
    return Band(*map(list, zip(*rows, strict=True))) if rows else Band([], [], [], [], [])
