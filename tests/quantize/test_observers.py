"""Observers: what range they choose, however the elements arrive."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipfit.graph import Array
from chipfit.quantize.observers import Range, observer

WORDS = ["minmax", "average", "percentile:99.9", "mse", "entropy"]


def seen(word: str, *batches: Array) -> Range:
    found = observer(word)
    for batch in batches:
        found.update(batch)
    return found.range()


def row(*numbers: float) -> Array:
    return np.array([numbers], np.float32)


def bell(count: int = 100_000, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0.0, 1.0, (10, count // 10)).astype(np.float32)


def test_min_and_max() -> None:
    assert seen("minmax", row(-1, 2), row(0.5, 3)) == Range(-1.0, 3.0)


def test_the_moving_average_goes_sample_by_sample() -> None:
    found = seen("average", row(0, 1), row(-1, 2))
    assert (found.low, found.high) == pytest.approx((-0.1, 1.1))


@pytest.mark.parametrize("percent", [99.0, 99.9])
def test_a_percentile_leaves_out_its_share(percent: float) -> None:
    x = bell()
    found = seen(f"percentile:{percent}", *np.split(x, 5))
    for share in (float((x < found.low).mean()), float((x > found.high).mean())):
        assert share == pytest.approx(1 - percent / 100, rel=0.1)


@pytest.mark.parametrize(("word", "share"), [("mse", 0.99), ("entropy", 0.4), ("percentile:99.9", 0.2)])
def test_heavy_tails_are_clipped(word: str, share: float) -> None:
    """``mse`` hardly does: one element that is clipped by far costs more than all that become finer."""
    x = np.random.default_rng(0).standard_t(2, (10, 10_000)).astype(np.float32)
    assert seen(word, x).high < share * float(x.max())


def test_the_least_error_is_found() -> None:
    """No other range of a grid has a mean cubic error that is noticeably less."""
    x = np.random.default_rng(1).laplace(0.0, 1.0, (1, 40_000)).astype(np.float32)
    found = seen("mse", x)
    best = min(error(x, Range(-h, h)) for h in np.linspace(1.0, float(np.abs(x).max()), 60))
    assert error(x, found) <= 1.05 * best


def error(x: Array, found: Range) -> float:
    step = (found.high - found.low) / 255
    grid = np.clip(np.rint((x - found.low) / step), 0, 255) * step + found.low
    return float((np.abs(x - grid) ** 3).mean())


@pytest.mark.parametrize("word", WORDS)
def test_what_is_never_negative_stays_so(word: str) -> None:
    found = seen(word, np.maximum(bell(), 0))
    assert found.low == 0.0
    assert 1.5 < found.high <= 6.0


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("level", [0.0, -3.5, 1e-12])
def test_a_constant(word: str, level: float) -> None:
    found = seen(word, np.full((2, 50), level, np.float32))
    assert found.low == pytest.approx(level, rel=1e-3)
    assert found.high == pytest.approx(level, rel=1e-3)


@pytest.mark.parametrize("word", WORDS)
def test_nothing_seen_and_empty_batches(word: str) -> None:
    assert seen(word, np.zeros((0, 3), np.float32)) == Range(0.0, 0.0)


@pytest.mark.parametrize("word", ["minmax", "percentile:99"])
@given(scale=st.floats(1e-6, 1e6), parts=st.integers(1, 5))
def test_neither_scale_nor_batches_matter(word: str, scale: float, parts: int) -> None:
    """Histograms widen by powers of two: a few bins are what they may differ by."""
    x = bell(2000)
    whole = seen(word, x)
    other = seen(word, *np.array_split((x * np.float32(scale)).astype(np.float32), parts))
    assert other.high / scale == pytest.approx(whole.high, rel=0.02)
    assert other.low / scale == pytest.approx(whole.low, rel=0.02)
