"""How far an output may lie over its dying input: distances that no step of the kernel forbids.

With the input at address I and the output at O, the distance is D = O - I. A step that writes bytes ``[start, end)`` of
the output while ``[low, high)`` of the input is still to be read forbids every D with
``low - end < D < high - start``. Each traversal gives a set of such open intervals.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np

from chipfit.graph import Array
from chipfit.ops import Traversal
from chipfit.plan.memory import Spans

MOST_LANES = 16
"""Distances of whole pixels that are offered beside the others: the tightest ones."""


_KNOWN: WeakKeyDictionary[Traversal, dict[str, Spans]] = WeakKeyDictionary()


def forbidden_by(traversal: Traversal, port: str) -> Spans:
    """Distances from the operand at this port to the output that the traversal forbids."""
    known = _KNOWN.setdefault(traversal, {})
    if port not in known:
        known[port] = _forbidden_by(traversal, port)
    return known[port]


def _forbidden_by(traversal: Traversal, port: str) -> Spans:
    low, high = traversal.reads[port]
    start, end = traversal.writes
    later = _meet(*_needed(low, high, after=True), start, end)
    if traversal.staged:
        return later
    spans = _meet(*_needed(low, high, after=False), start, end)
    return _cut_out(spans, later, traversal.lane) if traversal.lane else spans


def _needed(low: Array, high: Array, after: bool) -> tuple[Array, Array]:
    """For each step the hull of what this and the later steps read, or (``after``) the later ones alone."""
    nothing = low >= high
    big = np.iinfo(np.int64).max // 4
    low, high = np.where(nothing, big, low), np.where(nothing, -big, high)
    low = np.minimum.accumulate(low[::-1])[::-1]
    high = np.maximum.accumulate(high[::-1])[::-1]
    if after:
        low, high = np.append(low[1:], big), np.append(high[1:], -big)
    return low, high


def _meet(low: Array, high: Array, start: Array, end: Array) -> Spans:
    there = (low < high) & (start < end)
    return _union((low - end)[there], (high - start)[there])


def forbidden_in_time(a: tuple[Array, Array], b: tuple[Array, Array]) -> Spans:
    """Distances from ``a`` to ``b`` at which they meet at some moment.

    Each is two arrays: the first live byte and one past the last at every moment (equal: nothing is live).
    """
    there = (a[0] < a[1]) & (b[0] < b[1])
    return _union((a[0] - b[1])[there], (a[1] - b[0])[there])


def union(spans: Iterable[tuple[int, int]]) -> Spans:
    """The same set as open intervals that are ascending and apart. A point between two that touch is in neither."""
    ends = np.array(list(spans), np.int64).reshape(-1, 2)
    return _union(ends[:, 0], ends[:, 1])


def _union(low: Array, high: Array) -> Spans:
    if not len(low):
        return ()
    order = np.argsort(low, kind="stable")
    low, high = low[order], np.maximum.accumulate(high[order])
    begins = np.flatnonzero(np.append(True, low[1:] >= high[:-1]))
    ends = np.append(begins[1:], len(low)) - 1
    return tuple(zip(low[begins].tolist(), high[ends].tolist(), strict=True))


def both(a: Spans, b: Spans) -> Spans:
    """What both forbid: where either of two directions may be taken."""
    return union((max(p[0], q[0]), min(p[1], q[1])) for p in a for q in b if max(p[0], q[0]) < min(p[1], q[1]))


def allows(spans: Spans, distance: int) -> bool:
    return not any(lo < distance < hi for lo, hi in spans)


def least_union(spans: Spans, size: int, out_size: int) -> int:
    """The fewest bytes that an input and the output laid over it take together."""
    distances = [0, size - out_size, *(d for span in spans for d in span)]  # between them the union grows or shrinks
    free = [d for d in distances if allows(spans, d)]
    return min((max(size, d + out_size) - min(0, d) for d in free), default=size + out_size)


def _cut_out(spans: Spans, later: Spans, lane: int) -> Spans:
    """``spans`` without the multiples of ``lane`` that ``later`` does not forbid, the tightest of them."""
    points: set[int] = set()
    for lo, hi in spans:
        inner = [(max(lo, a), min(hi, b)) for a, b in later if a < hi and b > lo] or [(0, 0)]
        below, above = inner[0][0] // lane, -(-inner[-1][1] // lane)
        for k in range(MOST_LANES // 2):
            points |= {(below - k) * lane, (above + k) * lane}
    cut: list[tuple[int, int]] = []
    for lo, hi in spans:
        at = [lo, *sorted(p for p in points if lo < p < hi and allows(later, p)), hi]
        cut += pairwise(at)
    return tuple(cut)
