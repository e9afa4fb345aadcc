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
INSIDE, OUTSIDE = 1024, 96
"""Points at which the function is looked at: within the calibrated range, and on either side of it."""
RARE = 5e-4
"""What a point outside weighs beside the mean one inside."""
MOST_STARTS = 256
CLOSE = 2e-3
"""Squared error from which on nothing better is looked for."""
WINDOW, SWEEPS = 24, 8
"""Points around a start that are tried, fewer each time, and how often."""
FALLING = 0.5
"""Squared error that a falling piece has besides: in the vendors' models negative numbers are rounded down, and by one
more from one half on, which is one too low on the average. Such a piece starts one higher; what is left is this."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a table should do: ``codes`` (real numbers, 0..255) at the numbers ``t``, which weigh ``weights``."""

    t: Array
    codes: Array
    weights: Array


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
    inside = np.linspace(low, high, INSIDE)
    below = low - np.geomspace(width / INSIDE, max(low - reach[0], 2 * width / INSIDE), OUTSIDE)[::-1]
    above = high + np.geomspace(width / INSIDE, max(reach[1] - high, 2 * width / INSIDE), OUTSIDE)
    sums = np.concatenate([below, inside, above])
    weights = np.concatenate([np.full(OUTSIDE, RARE), 0.5 + 0.5 * density(inside), np.full(OUTSIDE, RARE)])
    return Wanted(sums * units, np.clip(function(sums), 0.0, 255.0), weights)


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
        _, mul, shift = sums.pieces(*(np.array(n) for n in (start.place, start.t, start.byte, end.place)))
        add = min(start.byte + int(mul < 0), 255)
        pieces.append(Segment(start.t, int(mul), int(shift), add))
    pieces += [Segment(LAST, 0, 0, pieces[-1].add)] * (SEGMENTS - len(pieces))
    return Fit(Activation(tuple(pieces)), error / sums.total)


def _chosen(goal: Wanted, sums: _Sums) -> tuple[int, list[_Start], float]:
    """The byte of the first piece, which is flat, the starts of the others, and the error."""
    places, starts, bytes_ = _crossings(goal)
    cost, _, _ = sums.pieces(places[:, None], starts[:, None], bytes_[:, None], places[None, :])
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
    lower, upper = np.minimum(codes[:-1], codes[1:]), np.maximum(codes[:-1], codes[1:])
    crosses = np.nonzero(np.floor(upper) >= np.ceil(lower))[0]
    if len(crosses) > MOST_STARTS:
        crosses = crosses[np.unique(np.linspace(0, len(crosses) - 1, MOST_STARTS).astype(int))]
    byte = np.ceil(lower[crosses])
    rise = codes[crosses + 1] - codes[crosses]
    share = np.where(rise == 0.0, 0.0, (byte - codes[crosses]) / np.where(rise == 0.0, 1.0, rise))
    at = t[crosses] + share * (t[crosses + 1] - t[crosses])
    # a function that crosses no byte at its low end still starts there
    places = np.concatenate([[0], crosses + 1, [len(t)]])
    starts = np.rint(np.concatenate([[t[0]], at, [t[-1]]])).astype(np.int64)
    bytes_ = np.concatenate([[np.rint(codes[0])], byte, [0.0]]).astype(np.int64)
    return places, starts, bytes_


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
            bytes_ = np.clip(near[None, :] + np.array([[-1], [0], [1]]), 0, 255)
            end = starts[k + 1].place if k + 1 < len(starts) else len(points)
            behind, _, _ = sums.pieces(places[None, :], points[places][None, :], bytes_, np.array(end))
            ahead = sums.ahead(starts[k - 1] if k else None, first, places)
            now, _, _ = sums.pieces(*(np.array(n) for n in (middle, starts[k].t, starts[k].byte, end)))
            present = float(now) + float(sums.ahead(starts[k - 1] if k else None, first, np.array([middle]))[0])
            total = ahead[None, :] + behind
            row, column = np.unravel_index(int(np.argmin(total)), total.shape)
            if total[row, column] < present:
                error += float(total[row, column]) - present
                place = int(places[column])
                starts[k] = _Start(place, int(points[place]), int(bytes_[row, column]))
        if before - error < 1e-3 * before:
            break
    return starts, error


class _Sums:
    """Sums over the points before each place, from which the error of any piece between two of them follows."""

    def __init__(self, goal: Wanted) -> None:
        w, t, c = goal.weights, goal.t, goal.codes
        self.total = float(w.sum())
        self.scale = max(float(np.abs(t).max()), 1.0)
        t = t / self.scale
        columns = (w, w * t, w * t * t, w * c, w * c * c, w * t * c)
        self.parts = [np.concatenate([[0.0], np.cumsum(column)]) for column in columns]

    def pieces(self, places: Array, starts: Array, bytes_: Array, ends: Array) -> tuple[Array, Array, Array]:
        """The error of each piece from a place to another, and its slope as it can be stored."""
        w, t, tt, c, cc, tc = (part[ends] - part[places] for part in self.parts)
        x, b = starts / self.scale, bytes_.astype(np.float64)
        moved_tt = np.maximum(tt - 2 * x * t + x * x * w, 0.0)
        moved_tc = tc - b * t - x * (c - b * w)
        moved_cc = cc - 2 * b * c + b * b * w
        slope = np.where(moved_tt > 0.0, moved_tc / np.maximum(moved_tt, 1e-300), 0.0)
        mul, shift = stored_slope(slope / self.scale)
        slope = mul * np.exp2(-shift.astype(np.float64)) * self.scale
        error = np.maximum(moved_cc - 2 * slope * moved_tc + slope * slope * moved_tt, 0.0)
        return error + np.where(mul < 0, FALLING * w, 0.0), mul, shift

    def flat(self, places: Array) -> tuple[Array, Array]:
        """What lies before each place at one byte: the error, and the byte."""
        w, _, _, c, _, _ = (part[places] for part in self.parts)
        byte = np.clip(np.rint(np.where(w > 0.0, c / np.maximum(w, 1e-300), 0.0)), 0, 255)
        byte[0] = byte[1] if len(byte) > 1 else 0
        return self._at_byte(places, byte), byte

    def ahead(self, start: _Start | None, first: int, places: Array) -> Array:
        """The error of the piece that starts there and ends at each place; None: of the first, which is flat."""
        if start is None:
            return self._at_byte(places, np.full(len(places), float(first)))
        return self.pieces(np.array(start.place), np.array(start.t), np.array(start.byte), places)[0]

    def _at_byte(self, places: Array, byte: Array) -> Array:
        w, _, _, c, cc, _ = (part[places] for part in self.parts)
        return np.maximum(cc - 2 * byte * c + byte * byte * w, 0.0)


def stored_slope(slope: Array) -> tuple[Array, Array]:
    """A slope as ``mul / 2**shift``, with as many bits as the table has."""
    size = np.maximum(np.abs(slope), 1e-300)
    shift = np.clip(np.floor(np.log2(MOST_MUL / size)), 0, MOST_SHIFT).astype(np.int64)
    mul = np.rint(slope * np.exp2(shift.astype(np.float64)))
    return np.clip(mul, -MOST_MUL, MOST_MUL).astype(np.int64), shift
