"""Pictures of a hyperparameter search."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from src.drawing.charts import WIDTH
from src.drawing.sheet import ACTUAL, FAINT, PREDICTED


def history_figure(completed: Mapping[int, float], pruned: Mapping[int, float]) -> Figure:
    """Best val/acc of each trial by its number, and the best so far among the completed ones."""
    figure = Figure(figsize=(1.4 * WIDTH, WIDTH), layout="constrained")
    axes = figure.subplots()
    numbers = sorted(completed)
    values = np.array([completed[number] for number in numbers]) * 100
    axes.step(numbers, np.maximum.accumulate(values), where="post", color=ACTUAL, label="best so far")
    axes.plot(numbers, values, "o", color=ACTUAL, label="completed")
    axes.plot(list(pruned), [value * 100 for value in pruned.values()], "x", color=FAINT, label="pruned")
    axes.set(xlabel="trial", ylabel="best validation accuracy (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    return figure


def importance_figure(shares: Mapping[str, float], num_trials: int) -> Figure:
    """How much each key decides whether a trial is among the best tenth; shares add up to 1.

    PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255) says little before five trials are that tenth.
    """
    figure = Figure(figsize=(1.4 * WIDTH, 1.2 + 0.35 * len(shares)), layout="constrained")
    axes = figure.subplots()
    names = sorted(shares, key=lambda name: shares[name])
    bars = axes.barh(names, [shares[name] for name in names], color=PREDICTED)
    axes.bar_label(bars, fmt="{:.0%}", padding=3)
    axes.set(xlim=(0, 1.1), xlabel="share of importance")
    axes.set_title(f"PED-ANOVA of {num_trials} completed trials; rough below 50", fontsize=9)
    return figure
