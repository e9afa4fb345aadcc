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


def quantize_multipliers(scales: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """:func:`quantize_multiplier` of many scales, float64: m and shift, both int32."""
    fraction, shift = np.frexp(scales)
    m = np.floor(fraction * (1 << 31) + 0.5).astype(np.int64)
    rounds_up = m == 1 << 31
    m, shift = np.where(rounds_up, m // 2, m), shift.astype(np.int64) + rounds_up
    vanishes, saturates = (shift < -31) | (scales == 0.0), shift > 30
    m = np.where(vanishes, 0, np.where(saturates, INT32_MAX, m))
    shift = np.where(vanishes, 0, np.where(saturates, 30, shift))
    return m.astype(np.int32), shift.astype(np.int32)


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


def reduce_multiplier(m: IntLike) -> Int:
    """A multiplier of 31 bits rounded to its upper 15."""
    return np.minimum((as_int64(m) + (1 << 15)) >> 16, (1 << 15) - 1)


def multiply_wide_by_quantized_multiplier(x: IntLike, m: IntLike, shift: IntLike) -> Int:
    """``x * m * 2**(shift-31)`` for sums ``x`` of 64 bits: the multiplier has 15 bits, halves go up, once.

    Of the result the low 32 bits are kept. ``shift`` is at most 14.
    Source: TFLite ``MultiplyByQuantizedMultiplier(int64_t, ...)``.
    """
    right = 15 - as_int64(shift)
    return wrap_int32((as_int64(x) * reduce_multiplier(m) + (np.int64(1) << (right - 1))) >> right)


def divide_round_away(a: IntLike, b: IntLike) -> Int:
    """``round(a / b)``, halves away from zero, for b > 0 (the averaging of TFLite's pools)."""
    a, b = as_int64(a), as_int64(b)
    return np.where(a >= 0, (a + b // 2) // b, -((-a + b // 2) // b))


def round_half_away(x: npt.NDArray[Any] | float) -> npt.NDArray[Any]:
    """C's ``roundf``: halves away from zero, in the precision of ``x``."""
    x = np.asarray(x)
    whole = np.trunc(x)
    return whole + np.sign(x) * (np.abs(x - whole) >= 0.5)


def saturating_shift_left(x: IntLike, n: IntLike) -> Int:
    """``x * 2**n`` clamped to int32."""
    return np.clip(as_int64(x) << as_int64(n), INT32_MIN, INT32_MAX)


# exp(-2**k) as Q0.31 for k = -2 .. 4
_EXP_OF_NEGATIVE_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def exp_on_negative_values(x: IntLike, integer_bits: int) -> Int:
    """exp(x) as Q0.31 for x <= 0 with at most 5 ``integer_bits``. Source: gemmlowp ``exp_on_negative_values``.

    A polynomial gives exp over the last quarter; the rest of x is a sum of powers of two, one factor for each.
    """
    x = as_int64(x)
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    last = (x & (quarter - 1)) - quarter
    a = (last << integer_bits) + (1 << 28)  # Q0.31, around -1/8
    a2 = srdhm(a, a)
    a3, a4 = srdhm(a2, a), srdhm(a2, a2)
    series = rounding_divide_by_pot(srdhm(rounding_divide_by_pot(a4, 2) + a3, 715827883) + a2, 1)
    result = 1895147668 + srdhm(1895147668, a + series)
    rest = last - x
    for k, factor in enumerate(_EXP_OF_NEGATIVE_POWERS[: integer_bits + 2], start=-2):
        result = np.where(rest & (1 << (fraction_bits + k)), srdhm(result, factor), result)
    return np.where(x == 0, INT32_MAX, result)


def _reciprocal_of_half_sum(x: IntLike) -> Int:
    """2 / (1 + x) as Q2.29 for x in [0, 1), Q0.31, by three Newton steps."""
    half = (as_int64(x) + INT32_MAX + 1) >> 1
    y = 1515870810 + srdhm(half, -1010580540)
    for _ in range(3):
        y = y + saturating_shift_left(srdhm(y, (1 << 29) - srdhm(half, y)), 2)
    return y


def one_over_one_plus_x(x: IntLike) -> Int:
    """1 / (1 + x) for x in [0, 1), both Q0.31. Source: gemmlowp ``one_over_one_plus_x_for_x_in_0_1``."""
    return saturating_shift_left(_reciprocal_of_half_sum(x), 1)


def leading_zeros(x: IntLike) -> Int:
    """Zero bits above the highest set bit of a 32-bit number, x > 0."""
    return 32 - np.frexp(as_int64(x).astype(np.float64))[1].astype(np.int64)


def reciprocal(x: IntLike, integer_bits: int) -> tuple[Int, Int]:
    """1 / x for x > 0 as ``(y, bits)``: y is Q0.31 and the value is ``y * 2**-bits``.

    Source: TFLite ``GetReciprocal``.
    """
    zeros = leading_zeros(x)
    return one_over_one_plus_x((as_int64(x) << zeros) - (1 << 31)), integer_bits - zeros


def inverse_sqrt(x: IntLike) -> tuple[Int, Int]:
    """``(m, shift)`` with ``1 / sqrt(x) ~ m * 2**(shift - 31)`` for 1 <= x < 2**29, by five Newton steps in Q3.28.

    Source: TFLite ``GetInvSqrtQuantizedMultiplierExp``. One counts as just below one.
    """
    x = as_int64(x)
    pairs = (leading_zeros(x) - 1) // 2 - 1
    value = (x << (2 * pairs)) >> 1
    half = rounding_divide_by_pot(value, 1)
    y = np.full_like(x, 1 << 28)
    for _ in range(5):
        cube = saturating_shift_left(srdhm(srdhm(y, y), y), 6)
        y = saturating_shift_left(srdhm((1 << 28) + (1 << 27), y) - srdhm(half, cube), 3)
    y = srdhm(y, 1518500250)
    right = 11 - pairs
    m = np.where(right < 0, y << np.maximum(-right, 0), y)
    return np.where(x <= 1, INT32_MAX, m), np.where(x <= 1, 0, -np.maximum(right, 0))


def log_of_sum(x: IntLike) -> Int:
    """log(x) as Q5.26 for x >= 1 in Q12.19.

    Source: TFLite ``log_x_for_x_greater_than_or_equal_to_1``: x = r * 2**(e +- 1/4) with r near 2**-1/4, and a rational
    approximation of log r.
    """
    x = as_int64(x)
    sqrt_half, fourth_root_half = 1518500250, 1805811301
    zeros_a = leading_zeros(x)
    zeros_b = leading_zeros(srdhm(x, sqrt_half)) - 1
    r_a = saturating_shift_left(srdhm(saturating_shift_left(x, zeros_a - 1), sqrt_half), 1)
    r_b = saturating_shift_left(x, zeros_b)
    quarter = 1 << 23  # Q6.25, as are the two exponents
    exponent = np.maximum(((12 - zeros_a) << 25) + quarter, ((12 - zeros_b) << 25) - quarter)
    r = np.minimum(r_a, r_b)
    p = (r + fourth_root_half + 1) >> 1
    q = 2 * (r - fourth_root_half)
    q2 = srdhm(q, q)
    numerator = srdhm(q, r) + srdhm(srdhm(q, q2), 117049297)
    denominator = srdhm(p, 1057819769 + q + srdhm(127690142, q2)) + srdhm(638450708, q)
    log_r = srdhm(rounding_divide_by_pot(numerator, 6), one_over_one_plus_x(denominator))
    return saturating_shift_left(srdhm(exponent, 1488522236) + log_r, 1)


def one_minus_x_over_one_plus_x(x: IntLike) -> Int:
    """(1 - x) / (1 + x) for x in [0, 1), both Q0.31. Source: gemmlowp ``one_minus_x_over_one_plus_x_for_x_in_0_1``."""
    return saturating_shift_left(_reciprocal_of_half_sum(x) - (1 << 29), 2)


def logistic(x: IntLike, integer_bits: int) -> Int:
    """1 / (1 + exp(-x)) as Q0.31. Source: gemmlowp ``logistic``."""
    x = as_int64(x)
    positive = one_over_one_plus_x(exp_on_negative_values(-np.abs(x), integer_bits))
    return np.where(x > 0, positive, np.where(x < 0, INT32_MAX - positive, 1 << 30))


def tanh(x: IntLike, integer_bits: int) -> Int:
    """tanh(x) as Q0.31: (1 - exp(-2x)) / (1 + exp(-2x)). Source: gemmlowp ``tanh``."""
    x = as_int64(x)
    positive = one_minus_x_over_one_plus_x(exp_on_negative_values(-np.abs(x), integer_bits + 1))
    return np.sign(x) * positive


def saturate16(x: IntLike) -> Int:
    return np.clip(as_int64(x), -(1 << 15), (1 << 15) - 1)


def multiplier16(scale: float) -> tuple[int, int]:
    """:func:`quantize_multiplier` with 15 bits. Source: TFLite ``DownScaleInt32ToInt16Multiplier``."""
    m, shift = quantize_multiplier(scale)
    return int(reduce_multiplier(m)), shift


def rounding_high_multiply16(a: IntLike, b: IntLike) -> Int:
    """``round(a * b / 2**15)`` on int16, as :func:`srdhm`."""
    return saturate16((as_int64(a) * as_int64(b) + (1 << 14)) >> 15)


def high_multiply16(a: IntLike, b: IntLike) -> Int:
    """``a * b / 2**15`` on int16, rounded towards zero. Source: TFLite ``SaturatingDoublingHighMul``."""
    product = as_int64(a) * as_int64(b)
    return saturate16(np.sign(product) * (np.abs(product) >> 15))


# ------------------------------------------------------------------------------------- logistic function and tanh

_STEPS = 24
"""Of the table, per unit of the logistic function's input."""


def _logistic_table() -> npt.NDArray[np.uint16]:
    """logistic(i / 24) as Q0.16; the last number is the greatest that there is.

    Half of what a straight line misses in the middle of a step is added to its start.
    """
    x = np.arange(256) / _STEPS
    value, middle, following = (1 / (1 + np.exp(-v)) for v in (x, x + 0.5 / _STEPS, x + 1 / _STEPS))
    bent = value + (middle - (value + following) / 2) / 2
    table = np.floor(bent * (1 << 16) + 0.5).astype(np.uint16)
    table[-1] = (1 << 16) - 1
    return table


LOGISTIC_TABLE = _logistic_table()


def _interpolated(magnitude: Int, bits: int, infinity: int) -> Int:
    """logistic of a scaled magnitude as a number of ``16 + bits`` bits, ``2**bits`` to a step of the table.

    ``infinity``: what the last step and all beyond give.
    """
    step, rest = magnitude >> bits, magnitude & ((1 << bits) - 1)
    table = LOGISTIC_TABLE.astype(np.int64)
    first, second = table[np.minimum(step, 254)], table[np.minimum(step, 254) + 1]
    return np.where(step < 255, (first << bits) + rest * (second - first), infinity)


def logistic_of_scaled(scaled: Int) -> Int:
    """The logistic function of a number in units of 1/12288, in units of 1/32768. Source: TFLite's int16 kernel."""
    result = _interpolated(np.abs(scaled), 9, 32767 << 10)
    return np.where(scaled >= 0, result + 512, (1 << 25) - result + 511) >> 10


def tanh_of_scaled(scaled: Int) -> Int:
    """tanh of a number in units of 1/12288, in units of 1/32768. Source: TFLite's int16 kernel."""
    distance = _interpolated(np.abs(scaled), 8, 65535 << 8) - (1 << 23)  # from 1/2
    return np.where(scaled >= 0, distance + 128, 127 - distance) >> 8
