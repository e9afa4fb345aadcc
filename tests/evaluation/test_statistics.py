"""Intervals, differences and places against values from elsewhere and against plain loops."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipfit.evaluation.statistics import (
    Confusion,
    among_first,
    confusion_matrix,
    difference,
    share_of,
    worst_confusions,
)


@pytest.mark.parametrize(
    # R. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I
    ("count", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_interval_of_wilson(count: int, total: int, low: float, high: float) -> None:
    share = share_of(count, total)
    assert (share.low, share.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_bounds_are_shares_from_which_the_count_is_two_deviations_away(pair: tuple[int, int]) -> None:
    count, total = pair
    share = share_of(count, total)
    assert 0 <= share.low <= share.share <= share.high <= 1
    for bound in (share.low, share.high):
        deviation = (bound * (1 - bound) / total) ** 0.5
        assert abs(bound - count / total) == pytest.approx(1.959964 * deviation, abs=1e-6)
    assert share.half_width == pytest.approx((share.high - share.low) / 2, abs=1e-12)


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="0 of 0"):
        share_of(0, 0)


@given(st.integers(0, 60), st.integers(0, 60))
def test_p_value_is_that_of_a_fair_coin(only_a: int, only_b: int) -> None:
    a = np.array([True] * only_a + [False] * only_b + [True, False], bool)
    b = np.array([False] * only_a + [True] * only_b + [True, False], bool)
    found = difference(("a", "b"), a, b)
    n, k = only_a + only_b, min(only_a, only_b)
    exact = min(Fraction(1), 2 * Fraction(sum(comb(n, i) for i in range(k + 1)), 2**n))
    assert (found.only_a, found.only_b) == (only_a, only_b)
    assert found.p_value == pytest.approx(float(exact), rel=1e-9)
    assert found.is_noise == (exact >= 0.05)


def test_many_samples_do_not_overflow() -> None:
    a, b = np.zeros(100_000, bool), np.ones(100_000, bool)
    assert difference(("a", "b"), a, b).p_value == 0.0
    b[::2], a[::2] = False, True
    assert difference(("a", "b"), a, b).p_value == 1.0


def test_places_are_those_of_a_stable_sort() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, (200, 9)).astype(np.float32)  # many are equal
    labels = rng.integers(0, 9, 200)
    for places in (1, 3, 9):
        best = np.argsort(-scores, axis=1, kind="stable")[:, :places]
        assert among_first(scores, labels, places).tolist() == [y in row for y, row in zip(labels, best, strict=True)]
    assert (among_first(scores, labels, 1) == (scores.argmax(axis=1) == labels)).all()


def test_confusions() -> None:
    labels, choices = np.array([0, 0, 1, 2, 2, 2, 2]), np.array([0, 1, 1, 0, 0, 1, 2])
    assert confusion_matrix(labels, choices, 3).tolist() == [[1, 1, 0], [0, 1, 0], [2, 1, 1]]
    assert worst_confusions(labels, choices, 2) == (Confusion(2, 0, 2), Confusion(0, 1, 1))
    assert worst_confusions(labels, labels, 2) == ()
