"""Observers: they see the elements of a tensor batch by batch, and say which range its integers should cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chipfit.graph import Array
from chipfit.quantize.recipe import split_ranges

BINS = 4096
_STEPS = 255
"""Steps of an 8 bit grid."""
_SEEN_AT_MOST = 1 << 20
"""Elements of one batch that enter a histogram: of more, evenly spread ones."""


@dataclass(frozen=True)
class Range:
    """Least and greatest real number that a tensor's integers should stand for."""

    low: float
    high: float

    def union(self, other: Range) -> Range:
        return Range(min(self.low, other.low), max(self.high, other.high))


class MinMax:
    """The least and the greatest element of all batches."""

    def __init__(self) -> None:
        self.low, self.high = np.inf, -np.inf

    def update(self, x: Array) -> None:
        if x.size:
            self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))

    def range(self) -> Range:
        return Range(self.low, self.high) if self.low <= self.high else Range(0.0, 0.0)


class Average(MinMax):
    """The moving average of the least and of the greatest element of each sample."""

    MOMENTUM = 0.9

    def update(self, x: Array) -> None:
        for sample in x:
            if not sample.size:
                continue
            low, high = float(sample.min()), float(sample.max())
            if self.low > self.high:
                self.low, self.high = low, high
            keep = self.MOMENTUM
            self.low, self.high = keep * self.low + (1 - keep) * low, keep * self.high + (1 - keep) * high


class _Histogram(MinMax):
    """Counts between -limit and limit, a power of two that doubles when an element lies outside."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = np.zeros(BINS, np.int64)
        self.limit = 0.0

    def update(self, x: Array) -> None:
        super().update(x)
        flat = x.reshape(-1)
        flat = flat[:: max(1, -(-flat.size // _SEEN_AT_MOST))]
        greatest = float(np.abs(flat).max()) if flat.size else 0.0
        if greatest == 0.0 and self.limit == 0.0:
            return
        self._widen(greatest)
        places = ((flat.astype(np.float64) / self.limit + 1.0) * (BINS / 2)).astype(np.int64)
        self.counts += np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)

    def _widen(self, greatest: float) -> None:
        if self.limit == 0.0:
            self.limit = 2.0 ** np.ceil(np.log2(greatest))
        while self.limit < greatest:
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.concatenate([np.zeros(BINS // 4, np.int64), pairs, np.zeros(BINS // 4, np.int64)])
            self.limit *= 2.0

    @property
    def centres(self) -> Array:
        return (np.arange(BINS) + 0.5) * (2.0 * self.limit / BINS) - self.limit

    def clipped(self, low: float, high: float) -> Range:
        """A range within what was seen."""
        return Range(max(self.low, float(low)), min(self.high, float(high)))

    def sides(self) -> tuple[float, float]:
        """How far the elements reach below and above 0."""
        return min(self.low, 0.0), max(self.high, 0.0)


class Percentile(_Histogram):
    """Leaves out the given share of elements at either end: 99.99 leaves out 0.01 % on each side."""

    def __init__(self, percent: float) -> None:
        super().__init__()
        self.percent = percent

    def range(self) -> Range:
        total = int(self.counts.sum())
        if not total:
            return super().range()
        tail = (1.0 - self.percent / 100.0) * total
        below = np.cumsum(self.counts)
        width = 2.0 * self.limit / BINS
        first = int(np.searchsorted(below, tail, side="right"))
        last = int(np.searchsorted(below, total - tail, side="left"))
        return self.clipped(first * width - self.limit, (last + 1) * width - self.limit)


class Mse(_Histogram):
    """The range with the least mean error to the power of ``POWER``: rounding inside against clipping outside."""

    POWER = 3.0
    """Above 2: a clipped element, which may be the one that counts, weighs more than many small errors."""

    def range(self) -> Range:
        if not self.counts.any():
            return super().range()
        low, high = self.sides()
        shrink = np.linspace(1.0, 0.3, 71)
        best_low, best_high = low, high
        for _ in range(2):  # one side after the other, twice
            best_high = min((high * s for s in shrink), key=lambda h: self._error(best_low, float(h)))
            best_low = min((low * s for s in shrink), key=lambda v: self._error(float(v), float(best_high)))
        return self.clipped(float(best_low), float(best_high))

    def _error(self, low: float, high: float) -> float:
        p, centres = self.POWER, self.centres
        inside = ((high - low) / _STEPS / 2.0) ** p / (p + 1.0)
        outside = np.maximum(np.maximum(low - centres, centres - high), 0.0)
        return float((self.counts * np.where(outside > 0.0, outside**p + inside, inside)).sum())


class Entropy(_Histogram):
    """The range whose quantized histogram diverges least from the one that was seen (Kullback-Leibler).

    Source: Migacz, 8-bit inference with TensorRT (2017): candidates end at growing distances from 0; what lies
    outside counts for the outermost bin.
    """

    CANDIDATES = 96

    def range(self) -> Range:
        if not self.counts.any():
            return super().range()
        low, high = self.sides()
        shares = np.linspace(0.2, 1.0, self.CANDIDATES)
        best = min(shares, key=lambda s: self._divergence(low * float(s), high * float(s)))
        return self.clipped(low * float(best), high * float(best))

    def _divergence(self, low: float, high: float) -> float:
        centres = self.centres
        inside = (centres >= low) & (centres <= high)
        if not inside.any():
            return np.inf
        seen = self.counts[inside].astype(np.float64)
        reference = seen.copy()
        reference[0] += self.counts[centres < low].sum()
        reference[-1] += self.counts[centres > high].sum()
        level = np.rint((centres[inside] - low) / max(high - low, 1e-300) * _STEPS).astype(np.int64)
        filled = seen > 0
        mass, bins = (np.bincount(level, weights, _STEPS + 1) for weights in (seen, filled.astype(np.float64)))
        model = np.where(filled, (mass / np.maximum(bins, 1.0))[level], 0.0)
        p, q = reference / reference.sum(), model / max(model.sum(), 1.0)
        both = (p > 0) & (q > 0)
        # bins that only hold what was clipped have no counterpart: they count as if the model had almost nothing there
        lost = p[(p > 0) & (q <= 0)].sum() * np.log(1e12)
        return float((p[both] * np.log(p[both] / q[both])).sum() + lost)


Observer = MinMax


def observer(ranges: str) -> Observer:
    """The observer of a recipe's word, which is not ``auto``."""
    method, percent = split_ranges(ranges)
    if method == "percentile":
        return Percentile(percent)
    return {"minmax": MinMax, "average": Average, "mse": Mse, "entropy": Entropy}[method]()
