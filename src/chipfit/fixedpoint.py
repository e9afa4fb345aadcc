"""The only rounding in Python: fixed-point arithmetic of quantized networks, on numpy int64 arrays.

Sources: gemmlowp ``fixedpoint.h`` and TensorFlow Lite ``kernels/internal/common.h`` (double rounding, the form that
the TFLite Micro reference kernels use). Arrays hold int32 values in int64, so that nothing overflows on the way.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Int = npt.NDArray[np.int64]
IntLike = npt.NDArray[Any] | int

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1


def quantize_multiplier(scale: float) -> tuple[int, int]:
    """``scale`` as ``(m, shift)`` with ``scale ~ m * 2**(shift - 31)`` and ``2**30 <= m < 2**31``.

    Source: TFLite ``QuantizeMultiplier`` (kernels/internal/quantization_util.cc), in double precision.
    """
    if scale == 0.0:
        return 0, 0
    fraction, shift = math.frexp(scale)
    m = math.floor(fraction * (1 << 31) + 0.5)
    if m == 1 << 31:
        m //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return INT32_MAX, 30
    return m, shift


def as_int64(x: IntLike) -> Int:
    return np.asarray(x, dtype=np.int64)


def wrap_int32(x: Int) -> Int:
    """The low 32 bits, as a signed number: what a C int32 keeps."""
    return x.astype(np.int32).astype(np.int64)


def srdhm(a: IntLike, b: IntLike) -> Int:
    """Saturating rounding doubling high multiply: ``round(a * b / 2**31)``, halves away from zero for a*b > 0.

    Exactly ``(a*b + 2**30) >> 31`` with a floor shift: gemmlowp's truncating form with its nudge gives the same.
    Saturates the one overflow, a = b = -2**31.
    """
    return np.minimum((as_int64(a) * as_int64(b) + (1 << 30)) >> 31, INT32_MAX)


def rounding_divide_by_pot(x: IntLike, exponent: IntLike) -> Int:
    """``round(x / 2**exponent)``, halves away from zero."""
    x, exponent = as_int64(x), as_int64(exponent)
    mask = (np.int64(1) << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + (remainder > threshold)


def multiply_by_quantized_multiplier(x: IntLike, m: IntLike, shift: IntLike) -> Int:
    """``x * m * 2**(shift-31)`` with TFLite's double rounding. ``m`` and ``shift`` broadcast against ``x``."""
    shift = as_int64(shift)
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    return rounding_divide_by_pot(srdhm(wrap_int32(as_int64(x) << left), m), right)


def requantize(acc: IntLike, m: IntLike, shift: IntLike, zero_point: int, low: int, high: int) -> Int:
    """Scale accumulators, add the output's zero point, clamp to ``low..high``."""
    return np.clip(multiply_by_quantized_multiplier(acc, m, shift) + zero_point, low, high)


def divide_round_away(a: IntLike, b: IntLike) -> Int:
    """``round(a / b)``, halves away from zero, for b > 0 (the averaging of TFLite's pools)."""
    a, b = as_int64(a), as_int64(b)
    return np.where(a >= 0, (a + b // 2) // b, -((-a + b // 2) // b))


def round_half_away(x: npt.NDArray[Any] | float) -> npt.NDArray[Any]:
    """C's ``roundf``: halves away from zero, in the precision of ``x``."""
    x = np.asarray(x)
    whole = np.trunc(x)
    return whole + np.sign(x) * (np.abs(x - whole) >= 0.5)
