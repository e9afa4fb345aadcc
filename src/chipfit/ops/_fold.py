"""Requantization in few instructions, proven equal to TFLite's double rounding at compile time.

TFLite scales an accumulator by a multiplier with two roundings, adds a zero point and clamps. As a function of the
accumulator this is a staircase with at most 255 steps: it never falls. So does each cheap form below. Two staircases
are equal if each of their steps is at the same accumulator, which 255 comparisons per channel decide: a proof, no test.

All forms start from ``A = k * acc + c`` (``c`` is where the accumulator starts, so it costs nothing; ``k`` comes from
weights that are stored multiplied by it, which gives ``c`` fraction bits to place the steps with):

* one line:   ``y = saturate8((A * m >> 32) >> s)``: two instructions. Double rounding treats positive and negative
  results differently, so one line fits one side only: layers whose activation clamps the other side.
* two lines:  ``A -= j`` where A is negative, then ``y = saturate8(((A * m >> 32) + r) >> s)``: four instructions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Int = npt.NDArray[np.int64]

_STEPS = (1, 128, 16, 2, 1)
"""Distances at which multipliers are tried, eight to each side of the best so far, which at first is the exact one.

A slope that is slightly off can still have every step in its place. How much room is left for ``c`` is a concave
function of ``1 / m`` but for rounding, so that it suffices to close in on the best multiplier.
"""

_MARGIN = 8 * sum(_STEPS)
"""The farthest that a multiplier can be from the exact one."""

_LIMIT = 1 << 31

_KEPT = 1 << 15
"""Proofs that are kept for the next time that the same model is compiled: for another board or goal."""


@dataclass(frozen=True)
class Staircase:
    """One output channel: multiplier, shift, zero point, clamp, and the accumulators that can occur."""

    m: int
    shift: int
    zero: int
    low: int
    high: int
    acc_min: int
    acc_max: int

    @property
    def scale(self) -> float:
        return self.m * 2.0 ** (self.shift - 31)

    def steps(self) -> tuple[Int, Int]:
        """``(v, t)``: output values above ``low``, and for each the least accumulator that reaches it."""
        values = np.arange(self.low + 1, self.high + 1, dtype=np.int64)
        right, left = max(-self.shift, 0), max(self.shift, 0)
        result = values - self.zero
        # the least high product that rounds to `result`: halves go away from zero
        half = (1 << right) // 2
        product = result * (1 << right) - half + ((result <= 0) & (right > 0))
        least = -((-(product * (1 << 31) - (1 << 30))) // self.m)
        return values, -((-least) // (1 << left))


@dataclass(frozen=True)
class Line:
    """``y = saturate8((A * m >> 32) >> s)``, ``A = k * acc + c``."""

    m: int
    c: int


@dataclass(frozen=True)
class TwoLines:
    """``A = k * acc + c; if A < 0: A -= j; y = saturate8(((A * m >> 32) + r) >> s)``."""

    m: int
    c: int
    j: int


def common_shift(scales: list[float], k: int) -> int:
    """The largest ``s`` up to 22 with which every channel's multiplier fits 31 bits; negative if there is none."""
    s = -1
    while max(scales) * 2.0 ** (32 + s + 1) / k < _LIMIT - _MARGIN - 1 and s < 22:
        s += 1
    return s


def _provable(channel: Staircase, k: int) -> bool:
    """Whether all that the proof computes stays inside 63 bits; that A stays inside 32 is for ``_fits`` to say."""
    return (
        channel.m >= 1 << 30
        and -20 <= channel.shift <= 8
        and max(abs(channel.acc_min), abs(channel.acc_max)) * k < _LIMIT
        and channel.acc_min <= channel.acc_max
    )


def _search(room: Callable[[Int], Int], channel: Staircase, k: int, s: int) -> int | None:
    """A multiplier with room for ``c`` (0: for one number), or None."""
    best = round(channel.scale * 2.0 ** (32 + s) / k)
    for step in _STEPS:
        m = best + step * np.arange(-8, 9)
        m = m[(m > 0) & (m < _LIMIT)]
        if not len(m):
            return None
        left = room(m)
        best = int(m[np.argmax(left)])
        if left.max() >= 0:
            return best
    return None


def _ceil_divide(a: Int, m: Int) -> Int:
    """``a / m`` rounded up, for ``0 < m`` and ``abs(a) < 2**62``: floats guess, which is quicker, integers mend it."""
    if m.min(initial=_LIMIT) < 1 << 12:  # the guess may be off by more than one
        return -(-a // m)
    guess = np.ceil(a / m).astype(np.int64)
    rest = a - guess * m
    return guess + (rest > 0) - (rest <= -m)


def _interval(m: Int, level: Int, t: Int, k: int, low_acc: int, high_acc: int) -> tuple[Int, Int]:
    """For each multiplier the least and greatest ``c`` for which ``A * m`` reaches each level exactly at its ``t``.

    ``level``: what ``A * m`` must reach, in units of 1; steps outside of ``low_acc..high_acc`` cannot be seen and bind
    only as far as they must stay outside. Both ascend, for which reason the nearest step to either side binds for all
    of them.
    """
    far = np.int64(1) << 40
    if low_acc > high_acc:
        return np.full(m.shape, -far), np.full(m.shape, far)
    first, last = (int(i) for i in np.searchsorted(t, (low_acc, high_acc), side="right"))  # those that are seen
    begin = max(first - 1, 0)
    need = _ceil_divide(level[None, begin : last + 1], m[:, None])  # the least A that reaches each level
    before = np.minimum(t[first : last + 1] - 1, high_acc)  # the greatest accumulator that must not reach it
    most = (need[:, first - begin :] - (k * before + 1)).min(axis=1, initial=far)
    after = np.maximum(t[begin:last], low_acc)  # the least accumulator that must reach it
    least = (need[:, : last - begin] - k * after).max(axis=1, initial=-far)
    return least, most


def _only_middle(interval: tuple[Int, Int]) -> int:
    """A number inside the one interval, whose unbounded sides are far away."""
    least, most = (int(bound[0]) for bound in interval)
    far = 1 << 39
    if least < -far:
        return min(most, 0)
    if most > far:
        return max(least, 0)
    return (least + most) // 2


@lru_cache(_KEPT)
def fold_line(channel: Staircase, k: int, s: int) -> Line | None:
    """The one-line form of a channel, or None if no multiplier near the exact one has a constant that fits."""
    if not _provable(channel, k):
        return None
    values, t = channel.steps()
    if _is_two_sided(channel, values, t):
        return None

    def interval(m: Int) -> tuple[Int, Int]:
        return _interval(m, values << (32 + s), t, k, channel.acc_min, channel.acc_max)

    def room(m: Int) -> Int:
        least, most = interval(m)
        return most - least

    found = _search(room, channel, k, s)
    if found is None:
        return None
    line = Line(found, _only_middle(interval(np.array([found]))))
    return line if _fits(channel, k, line.c) else None


def _is_two_sided(channel: Staircase, values: Int, t: Int) -> bool:
    """Whether so many steps are seen on both sides of zero that no line has them all: the sides lie 1 to 2 apart."""
    seen = (t > channel.acc_min) & (t <= channel.acc_max)
    return min(int((seen & (values > channel.zero)).sum()), int((seen & (values <= channel.zero)).sum())) > 2


def _fits(channel: Staircase, k: int, *constants: int) -> bool:
    return all(-_LIMIT <= k * acc + c < _LIMIT for acc in (channel.acc_min, channel.acc_max) for c in constants)


def two_lines_rounding(zero: int, s: int) -> int:
    """``r`` of the two-line form: half an output unit, and the zero point."""
    return (zero << s) + ((1 << s) >> 1)


@lru_cache(_KEPT)
def fold_two_lines(channel: Staircase, k: int, s: int) -> TwoLines | None:
    """The two-line form of a channel, or None. ``0 <= c < k`` makes A negative exactly where the accumulator is."""
    if not _provable(channel, k) or s < 1:
        return None
    values, t = channel.steps()
    level = (values << (32 + s)) - (two_lines_rounding(channel.zero, s) << 32)

    def above(m: Int) -> tuple[Int, Int]:
        least, most = _interval(m, level, t, k, max(channel.acc_min, 0), channel.acc_max)
        return np.maximum(least, 0), np.minimum(most, k - 1)

    def below(m: Int) -> tuple[Int, Int]:
        return _interval(m, level, t, k, channel.acc_min, min(channel.acc_max, -1))

    def room(m: Int) -> Int:
        return np.minimum(*(most - least for least, most in (above(m), below(m))))

    found = _search(room, channel, k, s)
    if found is None:
        return None
    c, c_below = (_only_middle(side(np.array([found]))) for side in (above, below))
    return TwoLines(found, c, c - c_below) if _fits(channel, k, c, c_below) else None
