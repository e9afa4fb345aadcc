"""The KPU's activation table: sixteen straight pieces that come as near to a function as they can.

The table maps the integer t, the scaled sum of a layer, to a byte. A piece starts at an integer t and at a whole byte,
and has a slope of 16 bits. Pieces are chosen by dynamic programming over all starts at which the function crosses a
whole byte: the sum of squared errors is least, weighted by how often the layer meets each t. What lies outside of the
range that was calibrated follows the function, too, as far as the layer can reach at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from chipfit.graph import Array
from chipfit.kmodel.format.registers import SEGMENTS, Activation, Segment

Function = Callable[[Array], Array]

FIRST, LAST = -(1 << 35), (1 << 35) - 1
"""The least and the greatest start of a piece."""
MOST_SHIFT = 20
MOST_MUL = (1 << 15) - 1
INSIDE, OUTSIDE = 2048, 96
"""Points at which the function is looked at: within the calibrated range, and on either side of it."""
RARE = 5e-4
"""What a point outside weighs beside the mean one inside."""
KNOWN = 0.8
"""Share of a point's weight that the samples decide: numbers that they hardly show are met some day, too."""
REFINED = 3
"""Times that points are moved to where the function is steep."""
MOST_STARTS = 256
CLOSE = 2e-3
"""Squared error from which on nothing better is looked for."""
WINDOW, SWEEPS = 24, 8
"""Points around a start that are tried, fewer each time, and how often."""
FALLING = 0.5
"""Squared error that a falling piece has besides: in the vendors' models negative numbers are rounded down, and by one
more from one half on, which is one too low on the average. Such a piece starts one higher; what is left is this."""
ROUNDING = 1.0 / 12.0
"""Squared error of rounding to bytes, which a flat piece does not have."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a table should do: ``codes`` (real numbers, 0..255) at the numbers ``t``, which weigh ``weights``. ``end``:
    the byte that all codes behind the last point are, 0 or 255; None: there are none."""

    t: Array
    codes: Array
    weights: Array
    end: int | None = None


@dataclass(frozen=True)
class Fit:
    """A table, and its mean squared error in codes before rounding, weighted."""

    table: Activation
    error: float


def wanted(
    function: Function, units: float, low: float, high: float, reach: tuple[float, float], density: Function
) -> Wanted:
    """``function``: from what the layer sums up (real) to codes; ``units``: of t in a real 1; ``low``, ``high``: the
    calibrated range of the sum; ``reach``: the least and greatest sum that bytes can make; ``density``: how often a sum
    is met (mean 1)."""
    width = max(high - low, 1e-9)
    inside = _points(function, lambda u: low + width * u, INSIDE)
    near, far = width / INSIDE, 2 * width / INSIDE
    to_low, to_high = (float(np.log(max(n, far) / near)) for n in (low - reach[0], reach[1] - high))
    below = _points(function, lambda u: low - near * np.exp(to_low * u), OUTSIDE)[::-1]
    above = _points(function, lambda u: low + width + near * np.exp(to_high * u), OUTSIDE)
    sums = np.concatenate([below, inside, above])
    each = np.gradient(inside) * INSIDE / width * (1.0 - KNOWN + KNOWN * density(inside))
    weights = np.concatenate([np.full(OUTSIDE, RARE), each, np.full(OUTSIDE, RARE)])
    codes = np.clip(function(sums), 0.0, 255.0)
    others = np.nonzero(codes != codes[-1])[0]
    if codes[-1] not in (0.0, 255.0) or not len(others):
        return Wanted(sums * units, codes, weights)
    # results are clamped: a piece that comes to the end of the bytes may go on, and no other one is needed
    kept = int(others[-1]) + 2
    return Wanted((sums * units)[:kept], codes[:kept], weights[:kept], int(codes[-1]))


def _points(function: Function, at: Function, count: int) -> Array:
    """Sums ``at`` numbers from 0 to 1, half of which lie evenly, half where codes change: a function that saturates
    may do so within a thousandth of the range."""
    even = np.linspace(0.0, 1.0, count)
    places = even
    for _ in range(REFINED):
        rise = np.abs(np.diff(np.clip(function(at(places)), 0.0, 255.0)))
        length = np.diff(places) + rise / max(float(rise.sum()), 1.0)
        way = np.concatenate([[0.0], np.cumsum(length)])
        places = np.interp(even * way[-1], way, places)
    return at(places)


@dataclass(frozen=True)
class _Start:
    """A piece begins before point ``place``, at the integer ``t``, with a byte."""

    place: int
    t: int
    byte: int


def fit(goal: Wanted) -> Fit:
    """The best table of sixteen pieces.

    Dynamic programming finds the pieces that start where the function crosses a whole byte. Where they leave an error,
    their starts are then moved, also off the curve, as long as that helps.
    """
    sums = _Sums(goal)
    first, starts, error = _chosen(goal, sums)
    if error > CLOSE * sums.total:
        starts, error = _moved(goal, sums, first, starts, error)
    pieces = [Segment(FIRST, 0, 0, first)]
    for start, end in pairwise([*starts, _Start(len(goal.t), LAST, 0)]):
        _, mul, shift = (int(n) for n in sums.one(start, end.place))
        add = min(start.byte + int(mul < 0), 255)
        pieces.append(Segment(start.t, mul, shift, add))
    pieces += [Segment(LAST, 0, 0, pieces[-1].add)] * (SEGMENTS - len(pieces))
    return Fit(Activation(tuple(pieces)), error / sums.total)


def _chosen(goal: Wanted, sums: _Sums) -> tuple[int, list[_Start], float]:
    """The byte of the first piece, which is flat, the starts of the others, and the error."""
    places, starts, bytes_ = _crossings(goal)
    cost, _, _ = sums.pieces(places, starts, bytes_, places)
    cost = np.where(np.triu(np.ones(cost.shape, bool), 1), cost, np.inf)
    flat_cost, flat_byte = sums.flat(places)
    # best[j]: least error of everything before start j; the last start stands for the end
    best, choices = flat_cost.copy(), list[Array]()
    for _ in range(SEGMENTS - 1):
        through = best[:, None] + cost
        choice = np.argmin(through, axis=0)
        improved = through[choice, np.arange(len(best))]
        choices.append(np.where(improved < best, choice, -1))
        best = np.minimum(best, improved)
    chain, at = list[int](), len(best) - 1
    for choice in reversed(choices):
        if choice[at] >= 0:
            at = int(choice[at])
            chain.append(at)
    found = [_Start(int(places[i]), int(starts[i]), int(bytes_[i])) for i in reversed(chain)]
    return int(flat_byte[at]), found, float(best[-1])


def _crossings(goal: Wanted) -> tuple[Array, Array, Array]:
    """Where a piece may start: (first point behind it, t, byte), and the end. Ascending."""
    codes, t = goal.codes, goal.t
    places, starts, bytes_ = _crossed(t, codes, MOST_STARTS)
    # what falls may also go down in steps, which begin half a code higher
    falls = np.append(codes[1:] < codes[:-1], False)
    half, half_starts, half_bytes = _crossed(t, codes - 0.5, MOST_STARTS // 4, falls)
    # a function that crosses no byte at its low end still starts there
    places = np.concatenate([[0], places, half, [len(t)]])
    starts = np.concatenate([[np.rint(t[0])], starts, half_starts, [np.rint(t[-1])]]).astype(np.int64)
    bytes_ = np.concatenate([[np.rint(codes[0])], bytes_, half_bytes, [0.0]]).astype(np.int64)
    order = np.argsort(places, kind="stable")
    return places[order], starts[order], bytes_[order]


def _crossed(t: Array, codes: Array, most: int, among: Array | None = None) -> tuple[Array, Array, Array]:
    """Points behind those where ``codes`` cross a whole number, ``t`` there, and the number. ``among``: which points
    are looked at."""
    lower, upper = np.minimum(codes[:-1], codes[1:]), np.maximum(codes[:-1], codes[1:])
    # where it stays at a byte, one start is enough
    changes = upper > lower
    crosses = (np.floor(upper) >= np.ceil(lower)) & (changes | np.append(True, changes[:-1]))
    at = np.nonzero(crosses if among is None else crosses & among[:-1])[0]
    if len(at) > most:
        at = at[np.unique(np.linspace(0, len(at) - 1, most).astype(int))]
    byte = np.ceil(lower[at])
    rise = codes[at + 1] - codes[at]
    share = (byte - codes[at]) / np.where(rise == 0.0, 1.0, rise)
    return at + 1, np.rint(t[at] + share * (t[at + 1] - t[at])), np.maximum(byte, 0.0)


def _moved(goal: Wanted, sums: _Sums, first: int, starts: list[_Start], error: float) -> tuple[list[_Start], float]:
    """Each start in turn goes to the best of the points around it and of the bytes near the function there."""
    points = np.rint(goal.t).astype(np.int64)
    for sweep in range(SWEEPS):
        before = error
        for k in range(len(starts)):
            window = WINDOW >> min(sweep, 3)
            left = starts[k - 1].place + 1 if k else 1
            right = starts[k + 1].place - 1 if k + 1 < len(starts) else len(points) - 1
            middle = starts[k].place
            places = np.arange(max(left, middle - window), min(right, middle + window) + 1)
            if not len(places):
                continue
            near = np.rint(goal.codes[places]).astype(np.int64)
            bytes_ = np.clip(near[None, :] + np.array([[-1], [0], [1]]), 0, 255).ravel()
            tried = np.tile(places, 3)
            end = starts[k + 1].place if k + 1 < len(starts) else len(points)
            behind, _, _ = sums.pieces(tried, points[tried], bytes_, np.array([end]))
            before_it = starts[k - 1] if k else None
            total = np.tile(sums.ahead(before_it, first, places), 3) + behind[:, 0]
            present = sums.one(starts[k], end)[0] + float(sums.ahead(before_it, first, np.array([middle]))[0])
            best = int(np.argmin(total))
            if total[best] < present:
                error += float(total[best]) - present
                place = int(tried[best])
                starts[k] = _Start(place, int(points[place]), int(bytes_[best]))
        if before - error < 1e-3 * before:
            break
    return starts, error


class _Sums:
    """The error of any piece between two places.

    Sums of a piece start at its own start: differences of sums over all points would lose those of a short piece, as
    what a layer can reach may be a million times its width.
    """

    def __init__(self, goal: Wanted) -> None:
        self.goal = goal
        w, c = goal.weights, goal.codes
        self.total = float(w.sum())
        self.parts = [np.concatenate([[0.0], np.cumsum(column)]) for column in (w, w * c, w * c * c)]

    def pieces(self, places: Array, starts: Array, bytes_: Array, ends: Array) -> tuple[Array, Array, Array]:
        """The error of each piece from a place, (n,), to an end, (m,): (n, m), and its slope as it can be stored.

        A falling piece is flat where that loses less.
        """
        first, last = int(places.min()), int(ends.max())
        points = slice(first, max(last, first))
        w = np.where(np.arange(first, points.stop) >= places[:, None], self.goal.weights[points], 0.0)
        x, c = self.goal.t[points] - starts[:, None], self.goal.codes[points] - bytes_[:, None]
        at = np.maximum(ends - first, 0)
        xx, xc, cc, total = (_running(column, at) for column in (w * x * x, w * x * c, w * c * c, w))
        mul, shift = stored_slope(np.where(xx > 0.0, xc / np.maximum(xx, 1e-300), 0.0))
        slope = mul * np.exp2(-shift.astype(np.float64))
        error = np.maximum(cc - 2 * slope * xc + slope * slope * xx, 0.0)
        falls, flat = mul < 0, np.maximum(cc - ROUNDING * total, 0.0)
        falling = error + FALLING * total
        mul = np.where(falls & (flat < falling), 0, mul)
        return np.where(falls, np.minimum(flat, falling), error) + self._astray(bytes_[:, None], ends, mul), mul, shift

    def _astray(self, bytes_: Array, ends: Array, mul: Array) -> Array:
        """What pieces are charged that reach the last point, but do not go on to the byte behind it."""
        end = self.goal.end
        if end is None:
            return np.zeros(mul.shape)
        goes_on = np.where(mul == 0, bytes_ == end, (mul > 0) == (end == 255))
        return np.where(~goes_on & (ends == len(self.goal.t)), 255.0**2 * self.total, 0.0)

    def one(self, start: _Start, end: int) -> tuple[float, float, float]:
        """The same of a single piece."""
        error, mul, shift = self.pieces(*(np.array([n]) for n in (start.place, start.t, start.byte, end)))
        return float(error[0, 0]), float(mul[0, 0]), float(shift[0, 0])

    def flat(self, places: Array) -> tuple[Array, Array]:
        """What lies before each place at one byte: the error, and the byte."""
        w, c, _ = (part[places] for part in self.parts)
        byte = np.clip(np.rint(np.where(w > 0.0, c / np.maximum(w, 1e-300), 0.0)), 0, 255)
        byte[0] = byte[1] if len(byte) > 1 else 0
        return self._at_byte(places, byte) + self._astray(byte, places, np.zeros(len(places))), byte

    def ahead(self, start: _Start | None, first: int, places: Array) -> Array:
        """The error of the piece that starts there and ends at each place; None: of the first, which is flat."""
        if start is None:
            return self._at_byte(places, np.full(len(places), float(first)))
        place, t, byte = (np.array([n]) for n in (start.place, start.t, start.byte))
        return self.pieces(place, t, byte, places)[0][0]

    def _at_byte(self, places: Array, byte: Array) -> Array:
        w, c, cc = (part[places] for part in self.parts)
        return np.maximum(cc - 2 * byte * c + byte * byte * w, 0.0)


def _running(columns: Array, ends: Array) -> Array:
    """Sums of each row before each end."""
    if len(ends) == 1:
        return columns[:, : int(ends[0])].sum(axis=1, keepdims=True)
    return np.concatenate([np.zeros((len(columns), 1)), np.cumsum(columns, axis=1)], axis=1)[:, ends]


def stored_slope(slope: Array) -> tuple[Array, Array]:
    """A slope as ``mul / 2**shift``, with as many bits as the table has."""
    size = np.maximum(np.abs(slope), 1e-300)
    shift = np.clip(np.floor(np.log2(MOST_MUL / size)), 0, MOST_SHIFT).astype(np.int64)
    mul = np.rint(slope * np.exp2(shift.astype(np.float64)))
    return np.clip(mul, -MOST_MUL, MOST_MUL).astype(np.int64), shift
