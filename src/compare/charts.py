"""The charts of a comparison: for each variant a mean line, and a band of its runs.

A variant has one color and one dash in all charts. Text and grid are left to the page, which knows
whether it is light or dark.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

import plotly.graph_objects as go

from src.compare.histories import Band, History, Series, against, band, from_rows, thinned

# Okabe & Ito (2008), distinct for the color-blind; without black and yellow, which vanish on a dark or a
# light page, and with grey. Further variants take the colors again, with another dash.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C")
DASHES = ("solid", "dash", "dot")
_BAND = 0.2  # opacity
_POINTS = 300  # of a line
_Units = Sequence[tuple[float, str]]  # the size of a unit, and its name; large ones first
TIMES: _Units = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
_COMPUTE: _Units = ((1.0, "PFLOP"), (1e-3, "TFLOP"), (1e-6, "GFLOP"))

# Under a chart
TRAIN = "Mean over an epoch of augmented images, while the weights change."
_TIME = "Seeds at the same epoch stand at their mean time, without validation, on the machine that trained."
FLOP = "Floating-point operations on all images seen: 6 for each MAC, 2 forward and 4 backward."
_RATE = "Variants with one schedule coincide: the better one is on top."


class Line(NamedTuple):
    """A variant's name, its rank (the leader's is 0, and it is drawn on top), and what it did."""

    name: str
    rank: int
    band: Band


def color(rank: int) -> str:
    """As `#rrggbb`."""
    return COLORS[rank % len(COLORS)]


def dash(rank: int) -> str:
    """`solid` for the first seven, then `dash`, then `dot`."""
    return DASHES[rank // len(COLORS) % len(DASHES)]


def _comparison_figure(
    lines: Sequence[Line],
    *,
    x: str,
    y: str,
    scale: float = 1.0,
    form: str = ".4g",
    log: bool = False,
    whole: bool = False,
) -> go.Figure:
    """A mean line and the band from the lowest to the highest run for each variant.

    Args:
        lines: what is drawn; a band without width is left out, and one point is a dot.
        x: what the horizontal axis shows, with its unit.
        y: the same of the vertical one.
        scale: values are multiplied by it: 100 for percent.
        form: d3's format of a value (https://d3js.org/d3-format).
        log: a logarithmic vertical axis.
        whole: the horizontal axis counts something, and has no ticks between whole numbers.
    """
    figure = go.Figure()
    from_last = sorted(lines, key=lambda line: -line.rank)
    furthest = max((value for line in lines for value in line.band.x), default=0.0)
    for line in from_last:
        if line.band.low != line.band.high:
            figure.add_trace(_band_area(line, scale))
    for line in from_last:
        full, name = line.band, escape(line.name)
        values, low, high = (short(column, scale) for column in (full.mean, full.low, full.high))
        figure.add_trace(
            go.Scatter(
                x=full.x,
                y=values,
                name=name,
                legendgroup=str(line.rank),
                mode="lines" if len(full.x) > 40 else "lines+markers",
                line={"color": color(line.rank), "dash": dash(line.rank), "width": 2},
                marker={"size": 5},
                customdata=list(zip(low, high, full.num_runs, strict=True)),
                hovertemplate=(
                    f"<b>{name}</b><br>{escape(x)} %{{x:.5~g}}<br>{escape(y)} %{{y:{form}}}"
                    f"<br>%{{customdata[0]:{form}}} to %{{customdata[1]:{form}}}"
                    "<br>runs: %{customdata[2]}<extra></extra>"
                ),
            )
        )
    figure.update_layout(
        template="none",
        height=340,
        margin={"l": 62, "r": 14, "t": 12, "b": 46},
        showlegend=False,
        hovermode="closest",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        xaxis={
            "title": {"text": escape(x), "standoff": 8},
            "zeroline": False,
            "rangemode": "tozero",
            "nticks": min(9, int(furthest) + 2) if whole else 7,
        },
        yaxis={
            "title": {"text": escape(y), "standoff": 8},
            "zeroline": False,
            "type": "log" if log else "linear",
            "exponentformat": "power",
            "showexponent": "all",
        },
    )
    return figure


def short(values: Sequence[float], scale: float) -> list[float]:
    """Values times `scale` in five digits, more than can be seen: a page holds tens of thousands."""
    return [float(f"{value * scale:.5g}") for value in values]


def _band_area(line: Line, scale: float) -> go.Scatter:
    """The area between lowest and highest: once forth, once back."""
    full, (red, green, blue) = line.band, bytes.fromhex(color(line.rank)[1:])
    return go.Scatter(
        x=full.x + full.x[::-1],
        y=short(full.high + full.low[::-1], scale),
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},{_BAND})",
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        name=escape(line.name),
        legendgroup=str(line.rank),
    )


@dataclass(frozen=True)
class _Chart:
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
        return Line(self.name, self.rank, thinned(full, _POINTS))

    def steps(self, of: Callable[[History], Series]) -> Band:
        """A quantity by optimizer step."""
        return band([of(history) for history in self.histories])


def learning_curves(told: Sequence[VariantHistory]) -> list[_Chart]:
    """Accuracy and loss of validation and training by epoch."""
    return drawn(
        _Chart("Validation accuracy", by_epoch(told, "val/acc", "accuracy (%)", scale=100, form=".2f")),
        _Chart("Validation loss", by_epoch(told, "val/loss", "cross-entropy (nats)")),
        _Chart(
            "Training accuracy", by_epoch(told, "train/acc", "accuracy (%)", scale=100, form=".2f"), TRAIN
        ),
        _Chart("Training loss", by_epoch(told, "train/loss", "training loss"), TRAIN),
    )


def by_epoch(
    told: Sequence[VariantHistory], metric: str, y: str, *, scale: float = 1.0, form: str = ".4g"
) -> go.Figure:
    lines = [one.line(one.epochs(metric)) for one in told]
    return _comparison_figure(lines, x="epochs done", y=y, scale=scale, form=form, whole=True)


def cost_charts(told: Sequence[VariantHistory]) -> list[_Chart]:
    """Validation accuracy against training time and against training compute."""
    seconds = [one.epochs("train/seconds") for one in told]
    pflop = [one.epochs("pflop") for one in told]
    return drawn(
        _Chart("Accuracy against training time", _by_cost(told, seconds, "training time", TIMES), _TIME),
        _Chart(
            "Accuracy against training compute", _by_cost(told, pflop, "training compute", _COMPUTE), FLOP
        ),
    )


def _by_cost(told: Sequence[VariantHistory], costs: Sequence[Band], x: str, units: _Units) -> go.Figure:
    size, unit = _unit_for(max((value for cost in costs for value in cost.mean), default=0.0), units)
    lines = [
        one.line(against(one.epochs("val/acc"), scaled(cost, 1 / size)))
        for one, cost in zip(told, costs, strict=True)
    ]
    return _comparison_figure(lines, x=f"{x} ({unit})", y="validation accuracy (%)", scale=100, form=".2f")


def step_charts(told: Sequence[VariantHistory]) -> list[_Chart]:
    """Learning rate and size of the weight updates by step."""
    rates = [one.line(one.steps(lambda history: history.lr)) for one in told]
    updates = [one.line(positive(one.steps(lambda history: history.updates))) for one in told]
    return drawn(
        _Chart("Learning rate", _comparison_figure(rates, x="optimizer step", y="learning rate"), _RATE),
        _Chart(
            "Size of the weight updates",
            _comparison_figure(updates, x="optimizer step", y="‖Δw‖ / ‖w‖", form=".3e", log=True),
            "Of all parameters as one vector, in one step. Steps with a learning rate of 0 are left out.",
        ),
    )


def drawn(*charts: _Chart) -> list[_Chart]:
    """The charts that have something to show."""
    return [chart for chart in charts if any(len(trace.x) for trace in chart.figure.data)]


def _unit_for(largest: float, units: _Units) -> tuple[float, str]:
    """(size of a unit, its name): the largest unit that goes at least once into the largest value."""
    return next((unit for unit in units if largest >= unit[0]), units[-1])


def scaled(full: Band, factor: float) -> Band:
    """The values of a band times a factor."""
    mean, low, high = ([value * factor for value in column] for column in (full.mean, full.low, full.high))
    return Band(full.x, mean, low, high, full.num_runs)


def positive(full: Band) -> Band:
    """The part of a band that a logarithmic axis can show."""
    return from_rows([row for row in zip(*full, strict=True) if row[2] > 0])
