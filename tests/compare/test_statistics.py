import math

import pytest
from scipy import stats

from src.compare.statistics import Estimate, estimate, holm, paired_p

A = {0: 0.8763, 1: 0.8764, 2: 0.8804}
B = {0: 0.8701, 1: 0.8750, 2: 0.8722, 3: 0.99}


def test_the_interval_is_students():
    # mean 2, s = 1, t(0.975, 2) = 4.302653: half width t / sqrt(3) = 2.484138
    got = estimate([1.0, 2.0, 3.0])
    assert got == Estimate(2.0, pytest.approx(4.3026527 / math.sqrt(3)), 3)
    values = list(A.values())
    low, high = stats.t.interval(0.95, df=2, loc=sum(values) / 3, scale=stats.sem(values))
    assert estimate(values).half_width == pytest.approx((high - low) / 2, rel=1e-12)


def test_one_value_has_no_interval_and_none_is_no_estimate():
    assert estimate([0.5]) == Estimate(0.5, None, 1)
    assert estimate([]) is None


def test_p_is_scipys_over_the_shared_seeds():
    # differences 0.0062, 0.0014, 0.0082; mean m, sample deviation s: t = m / (s / sqrt 3), 2 degrees
    differences = [0.0062, 0.0014, 0.0082]
    m = sum(differences) / 3
    s = math.sqrt(sum((d - m) ** 2 for d in differences) / 2)
    by_hand = 2 * stats.t.sf(m / (s / math.sqrt(3)), df=2)
    assert paired_p(A, B) == pytest.approx(by_hand, rel=1e-9)
    assert paired_p(A, B) == pytest.approx(stats.ttest_rel(list(A.values()), list(B.values())[:3]).pvalue)
    assert paired_p(B, A) == pytest.approx(by_hand)


def test_one_shared_seed_cannot_tell():
    assert paired_p({0: 0.5, 1: 0.6}, {1: 0.7, 2: 0.8}) is None
    assert paired_p({}, A) is None


def test_differences_without_spread():
    assert paired_p(A, dict(A)) == 1.0
    # 0.9 - 0.8 and 0.8 - 0.7 differ by rounding alone: the sign test, 2 / 2^3
    assert paired_p({0: 0.9, 1: 0.8, 2: 0.7}, {0: 0.8, 1: 0.7, 2: 0.6}) == 0.25


def test_holm_multiplies_the_smallest_most():
    # sorted .01 .03 .04: times 3, 2, 1 = .03 .06 .04 -> never below a smaller one: .03 .06 .06
    assert holm([0.04, None, 0.01, 0.03]) == [
        pytest.approx(0.06),
        None,
        pytest.approx(0.03),
        pytest.approx(0.06),
    ]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
