"""From accumulators to output elements: a multiplier, a shift to the right, and one of two roundings."""

from __future__ import annotations

import numpy as np

from chipfit.ethosu.registers import Int, Rounding
from chipfit.fixedpoint import IntLike, as_int64, rounding_divide_by_pot


def scaled(acc: Int, m: IntLike, shift: IntLike, rounding: Rounding) -> Int:
    """``acc * m / 2**shift``. ``m`` and ``shift`` broadcast against ``acc``.

    Rounded twice (``DOUBLE``: to the upper half of the product, then halves away from zero) or once, halves upwards.
    """
    m, shift = as_int64(m), as_int64(shift)
    if rounding == Rounding.NATURAL:
        product = acc * m
        return np.where(shift > 0, (product + (np.int64(1) << np.maximum(shift - 1, 0))) >> shift, product)
    raised = acc << np.maximum(31 - shift, 0)
    return rounding_divide_by_pot((raised * m + (1 << 30)) >> 31, np.maximum(shift - 31, 0))


def scaled_globally(acc: Int, scale: tuple[int, int], rounding: Rounding) -> Int:
    """As :func:`scaled` with one scale for all; (1, 0) leaves the accumulators as they are."""
    return acc if scale == (1, 0) else scaled(acc, *scale, rounding)


def reciprocal(count: Int) -> tuple[Int, Int]:
    """Multiplier and shift with which the hardware divides a sum by so many elements, 1 or more.

    A little more than the quotient, so that ``NATURAL`` rounds halves away from zero.
    """
    bits = np.ceil(np.log2(count)).astype(np.int64)  # of count - 1
    return ((np.int64(1) << (31 + bits)) + (np.int64(1) << bits)) // count, 31 + bits
