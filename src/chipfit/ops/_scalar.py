"""Requantization on cores without DSP instructions, proven equal to TFLite's double rounding at compile time.

A sum is that of stored inputs times weights, bias and zero points left out. A core scales it as it can:

    F(sum) = floor(sum * m / 2**h)

* with a high multiply (``mulh``): one product; h = 32 - bits, since the sum is shifted up by ``bits`` before;
* without (Armv6-M): ``m`` is split into two or three digits of ``bits`` bits so that no product leaves 32 bits, and
  h = bits * (digits - 1): ``floor(sum * low / 2**bits) + sum * high``, three digits one level deeper. That is exact.

Then ``y = (F(sum) + c) >> s``, clamped. ``c`` holds bias, zero points and rounding. Where double rounding needs it
(outputs on both sides of zero) c makes the value negative exactly where the accumulator is; a negative one is lowered
by ``j``, and half a unit is added to both. As in ``_fold`` two staircases with equal steps are equal: a proof, no test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chipfit.fixedpoint import Int, requantize
from chipfit.graph import Array
from chipfit.ops._channels import Channels
from chipfit.ops._fold import Staircase, two_lines_rounding

_TRIES = 64
_FAR = 1 << 50

LINE, TWO_LINES, EXACT = 0, 1, 2


@dataclass(frozen=True)
class Scaling:
    """``F(sum) = floor(sum * m / 2**h)`` for m below ``limit``, in one digit or more."""

    h: int
    limit: int
    bits: int
    digits: int


@dataclass(frozen=True)
class Finish:
    """How a layer's sums become outputs. ``numbers``: the C kernels' table, (out, words) int32.

    A row is c, j with two lines, then m: one word with a high multiply, else two digits in a word and the third in one
    more. The exact form's row is start, multiplier, shift; it counts as one of three digits.
    """

    form: int
    scaling: Scaling
    s: int
    numbers: Array

    def field(self, zero: int, low: int, high: int) -> tuple[int, ...]:
        """The C struct ``cf_finish``."""
        rounding = (0, two_lines_rounding(zero, self.s), zero)[self.form]
        return (self.form, self.scaling.bits, self.scaling.digits, self.s, rounding, low, high)


def finish_with_high_multiply(channels: Channels) -> Finish:
    """For cores that have the high word of a product."""
    up = min(31 - _sum_bits(channels), 16)
    return _finish(channels, [Scaling(32 - up, 1 << 31, up, 1)])


def finish_with_digits(channels: Channels) -> Finish:
    """For cores whose products have 32 bits."""
    bits = min(31 - _sum_bits(channels), 16)
    scalings = [Scaling(bits * (n - 1), 1 << bits * n, bits, n) for n in (2, 3)]
    return _finish(channels, scalings)


def _sum_bits(channels: Channels) -> int:
    """Bits of the greatest sum's magnitude."""
    sums = [abs(b - int(start)) for c, start in zip(channels.stairs, channels.start, strict=True) for b in _ends(c)]
    return max(sums).bit_length()


def _ends(c: Staircase) -> tuple[int, int]:
    return c.acc_min, c.acc_max


def _finish(channels: Channels, scalings: list[Scaling]) -> Finish:
    """The first scaling, form and shift that hold for all channels; TFLite's own arithmetic where none does."""
    fixed = [_only_output(c) for c in channels.stairs]
    for scaling in scalings:
        greatest = _greatest_shift(channels, fixed, scaling)
        for form in (LINE, TWO_LINES):
            for s in range(greatest, max(greatest - 3, -1), -1):
                rows = _prove_all(channels, fixed, scaling, form, s)
                if rows is not None:
                    return Finish(form, scaling, s, rows)
    exact = np.array([(start, c.m, c.shift) for c, start in _pairs(channels)], np.int64)
    return Finish(EXACT, Scaling(0, 0, 0, 3), 0, exact.astype(np.int32))


def _pairs(channels: Channels) -> list[tuple[Staircase, int]]:
    return list(zip(channels.stairs, channels.start.tolist(), strict=True))


def _only_output(c: Staircase) -> int | None:
    """The output of a channel that has only one: filters of zeros, with any bias at all."""
    least, greatest = requantize(np.array(_ends(c)), c.m, c.shift, c.zero, c.low, c.high).tolist()
    return least if least == greatest else None


def _greatest_shift(channels: Channels, fixed: list[int | None], scaling: Scaling) -> int:
    """The greatest ``s`` with which every multiplier is below the limit and every value below 2**30; -1: none."""
    live = [c for c, y in zip(channels.stairs, fixed, strict=True) if y is None]
    scale = max((c.scale for c in live), default=0.0)
    reach = max((max(map(abs, _ends(c))) * c.scale for c in live), default=0.0)
    s = -1
    while (
        s < 22
        and scale * 2.0 ** (s + 1 + scaling.h) < scaling.limit - _TRIES
        and max(reach, 256) * 2.0 ** (s + 1) < 1 << 30
    ):
        s += 1
    return s


def _prove_all(channels: Channels, fixed: list[int | None], scaling: Scaling, form: int, s: int) -> Array | None:
    rows: list[tuple[int, ...]] = []
    for (stairs, start), only in zip(_pairs(channels), fixed, strict=True):
        if only is not None:
            constants = (only << s,) if form == LINE else ((only - stairs.zero) << s, 0)
            row = (*constants, *_digits(0, scaling))
        else:
            row = _prove(stairs, start, scaling, form, s)
        if row is None:
            return None
        rows.append(row)
    return np.array(rows, np.int64).astype(np.int32)


def _prove(c: Staircase, start: int, scaling: Scaling, form: int, s: int) -> tuple[int, ...] | None:
    """The row of a channel, or None. ``start``: the accumulator of the sum 0."""
    if c.m < 1 << 30 or not -20 <= c.shift <= 8 or max(map(abs, _ends(c))) << max(c.shift, 0) >= 1 << 31:
        return None
    values, t = c.steps()
    level = values << s
    if form == TWO_LINES:
        level = level - two_lines_rounding(c.zero, s)
    exact = round(c.scale * 2.0 ** (s + scaling.h))
    for m in (exact + d for d in sorted(range(-_TRIES, _TRIES + 1), key=abs)):
        if 0 < m < scaling.limit and (constants := _constants(c, start, m, scaling.h, form, level, t)) is not None:
            return (*constants, *_digits(m, scaling)) if _fits(c, start, m, scaling, constants) else None
    return None


def _constants(c: Staircase, start: int, m: int, h: int, form: int, level: Int, t: Int) -> tuple[int, ...] | None:
    """``(c,)`` or ``(c, j)`` with which all steps are where they must be."""
    if form == LINE:
        least, most = _interval(c.acc_min, c.acc_max, start, m, h, level, t)
        return (_middle(least, most),) if least <= most else None
    # negative exactly where the accumulator is
    zero_least, zero_most = -(-start * m >> h), -((-1 - start) * m >> h) - 1
    least, most = _interval(max(c.acc_min, 0), c.acc_max, start, m, h, level, t)
    least, most = max(least, zero_least), min(most, zero_most)
    below_least, below_most = _interval(c.acc_min, min(c.acc_max, -1), start, m, h, level, t)
    if least > most or below_least > below_most:
        return None
    above = _middle(least, most)
    return above, above - _middle(below_least, below_most)


def _interval(low: int, high: int, start: int, m: int, h: int, level: Int, t: Int) -> tuple[int, int]:
    """The constants for which ``F(acc - start) + c`` reaches each level exactly at its ``t``, for acc in low..high."""
    before, after = np.minimum(t - 1, high), np.maximum(t, low)
    most = np.where(before >= low, level - 1 - ((before - start) * m >> h), _FAR).min(initial=_FAR)
    least = np.where(after <= high, level - ((after - start) * m >> h), -_FAR).max(initial=-_FAR)
    return int(least), int(most)


def _middle(least: int, most: int) -> int:
    """A number inside an interval whose unbounded sides are far away."""
    if least == -_FAR:
        return min(most, 0)
    return max(least, 0) if most == _FAR else (least + most) // 2


def _fits(c: Staircase, start: int, m: int, scaling: Scaling, constants: tuple[int, ...]) -> bool:
    """Whether all values stay inside 31 bits."""
    ends = [(acc - start) * m >> scaling.h for acc in _ends(c)]
    first, j = constants[0], sum(constants[1:])
    values = [v + first - d for v in ends for d in (0, j)]
    return max(map(abs, [*values, *constants])) < 1 << 30


def _digits(m: int, scaling: Scaling) -> tuple[int, ...]:
    if scaling.digits == 1:
        return (m,)
    mask = (1 << scaling.bits) - 1
    low, middle, high = m & mask, m >> scaling.bits & mask, m >> 2 * scaling.bits
    word = low | middle << 16
    return (word - (1 << 32 if word >= 1 << 31 else 0), high)[: scaling.digits - 1]
