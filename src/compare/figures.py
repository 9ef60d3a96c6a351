"""Charts that put variants beside each other: a mean line and a band of the runs for each.

A variant has one color and one dash in all charts. Text and grid are left to the page, which knows
whether it is light or dark.
"""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import plotly.graph_objects as go

from src.compare.bands import Band

# Okabe & Ito (2008), distinct for the color-blind; without black and yellow, which vanish on a dark or a
# light page, and with grey. Further variants take the colors again, with another dash.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C")
DASHES = ("solid", "dash", "dot")
BAND = 0.2  # opacity


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


def comparison_figure(
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
            figure.add_trace(band_area(line, scale))
    for line in from_last:
        band, name = line.band, escape(line.name)
        values, low, high = (short(column, scale) for column in (band.mean, band.low, band.high))
        figure.add_trace(
            go.Scatter(
                x=band.x,
                y=values,
                name=name,
                legendgroup=str(line.rank),
                mode="lines" if len(band.x) > 40 else "lines+markers",
                line={"color": color(line.rank), "dash": dash(line.rank), "width": 2},
                marker={"size": 5},
                customdata=list(zip(low, high, band.num_runs, strict=True)),
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


def band_area(line: Line, scale: float) -> go.Scatter:
    """The area between lowest and highest: once forth, once back."""
    band, (red, green, blue) = line.band, bytes.fromhex(color(line.rank)[1:])
    return go.Scatter(
        x=band.x + band.x[::-1],
        y=short(band.high + band.low[::-1], scale),
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},{BAND})",
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        name=escape(line.name),
        legendgroup=str(line.rank),
    )
