"""Is one training better than another? Means over seeds, how sure they are, and paired tests.

Accuracies are fractions. A pair is the same seed of two variants: the same validation split, the same
order of images, the same initial weights where the networks are alike.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_CONFIDENCE = 0.95
_ROUNDING = 1e-6  # accuracies count images but are kept in 32 bits: closer values are equal


@dataclass(frozen=True)
class Estimate:
    """A mean of `n` values; its confidence interval is mean ± `half_width`, None of a single value."""

    mean: float
    half_width: float | None
    n: int


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean and 95 % confidence interval, t(n - 1) s / sqrt(n) wide to each side (Student 1908).

    s is the sample's standard deviation. None without values.
    """
    from scipy.special import stdtrit

    n = len(values)
    if n == 0:
        return None
    if n == 1:
        return Estimate(values[0], None, 1)
    t = float(stdtrit(n - 1, (1 + _CONFIDENCE) / 2))
    return Estimate(float(np.mean(values)), t * float(np.std(values, ddof=1)) / math.sqrt(n), n)


def paired_p(a: Mapping[int, float], b: Mapping[int, float]) -> float | None:
    """Two-sided p value of the paired t-test over the seeds that two variants share.

    None with fewer than two shared seeds: they cannot tell. Differences that are all zero give 1.
    Differences that are all alike would make t infinite, and p zero, for no better reason than that images
    are counted: the sign test speaks instead, 2 / 2^n.

    Args:
        a: seed -> accuracy.
        b: seed -> accuracy.
    """
    from scipy.stats import ttest_rel

    seeds = sorted(a.keys() & b.keys())
    if len(seeds) < 2:
        return None
    left, right = (np.array([values[seed] for seed in seeds]) for values in (a, b))
    differences = left - right
    if np.ptp(differences) > _ROUNDING:
        return float(ttest_rel(left, right).pvalue)
    return 1.0 if abs(differences[0]) <= _ROUNDING else 2.0 ** (1 - len(seeds))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p values corrected for being several (Holm 1979, Scand. J. Statistics 6): at most alpha in all.

    The k-th smallest of m is multiplied by m - k + 1; none is below a smaller one's, or above 1.
    None is no comparison and stays None.
    """
    corrected: list[float | None] = [None] * len(p_values)
    order = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    highest = 0.0
    for rank, (p, index) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        corrected[index] = highest
    return corrected
