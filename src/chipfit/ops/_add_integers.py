"""Integer addition and subtraction as numbers: TFLite's two roundings, and a cheap form on int8, proven equal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from chipfit.fixedpoint import INT32_MAX, INT32_MIN, Int, multiply_by_quantized_multiplier, requantize
from chipfit.graph import Array, DType

LEFT_SHIFT = {DType.INT8: 20, DType.INT16: 15}
"""Operands are scaled up by this many bits before the first rounding."""


@dataclass(frozen=True)
class Rescale:
    """All numbers of an integer addition; ``sign`` is -1 for a subtraction."""

    a: tuple[int, int]
    b: tuple[int, int]
    y: tuple[int, int]
    a_zero: int
    b_zero: int
    y_zero: int
    low: int
    high: int
    sign: int
    left_shift: int

    def terms(self, a: Array, b: Array) -> tuple[Int, Int]:
        """Both operands on the common scale: what is added."""
        scaled_a = multiply_by_quantized_multiplier((a.astype(np.int64) - self.a_zero) << self.left_shift, *self.a)
        scaled_b = multiply_by_quantized_multiplier((b.astype(np.int64) - self.b_zero) << self.left_shift, *self.b)
        return scaled_a, self.sign * scaled_b

    def result(self, a: Array, b: Array) -> Int:
        scaled_a, scaled_b = self.terms(a, b)
        return requantize(scaled_a + scaled_b, *self.y, self.y_zero, self.low, self.high)


@dataclass(frozen=True)
class TwoProducts:
    """An addition as ``clamp((a*a_mul + b*b_mul + constant) >> shift)``.

    With ``away`` the sum of ``zero`` and the two products goes down by one where it is negative, before ``constant``
    is added: halves then go away from zero.
    """

    a_mul: int
    b_mul: int
    zero: int
    constant: int
    shift: int
    away: bool


@lru_cache(maxsize=256)
def find_two_products(r: Rescale) -> TwoProducts | None:
    """The cheap form of an addition on int8 where it gives the same byte for each of the 65,536 pairs, else None.

    Multipliers within 2 of the exact ones are tried; the constant follows from the interval that all pairs allow.
    """
    every = np.arange(-128, 128, dtype=np.int64)
    a, b = every[:, None], every[None, :]
    expected = r.result(a, b)
    y_scale = r.y[0] * 2.0 ** (r.y[1] - 31 + r.left_shift)
    real_a = r.a[0] * 2.0 ** (r.a[1] - 31) * y_scale
    real_b = r.sign * r.b[0] * 2.0 ** (r.b[1] - 31) * y_scale
    greatest = 255 * (real_a + abs(real_b)) + 256
    shift = 31 - int(np.ceil(np.log2(greatest)))
    if shift < 8:
        return None
    above, below = expected > r.low, expected < r.high
    offsets = sorted(((i, j) for i in range(-2, 3) for j in range(-2, 3)), key=lambda o: abs(o[0]) + abs(o[1]))
    for i, j in offsets:
        a_mul, b_mul = round(real_a * (1 << shift)) + i, round(real_b * (1 << shift)) + j
        products = a * a_mul + b * b_mul
        zero = -(r.a_zero * a_mul + r.b_zero * b_mul)
        for away in (False, True):
            total = products + zero
            total = total - (total < 0) if away else products
            least = int(((expected << shift) - total)[above].max(initial=-(1 << 62)))
            most = int((((expected + 1) << shift) - 1 - total)[below].min(initial=1 << 62))
            constant = (least + most) // 2
            sums = (int(total.min()), int(total.max()), int(total.min()) + constant, int(total.max()) + constant)
            if least <= most and min(sums) >= INT32_MIN and max(sums) <= INT32_MAX:
                return TwoProducts(a_mul, b_mul, zero if away else 0, constant, shift, away)
    return None
