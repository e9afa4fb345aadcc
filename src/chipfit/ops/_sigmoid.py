"""The int8 LOGISTIC and TANH of TFLite: an input in Q4.27, gemmlowp's fixed-point functions, one rounding to 8 bits."""

from __future__ import annotations

import math

import numpy as np

from chipfit.fixedpoint import Int, multiply_by_quantized_multiplier, quantize_multiplier
from chipfit.graph import Array, Quant

INTEGER_BITS = 4
"""Of the input: beyond 15 the functions have reached their limits."""


def to_q4(x: Array, quant: Quant) -> tuple[Int, Int, int]:
    """Distance from the zero point; the same as Q4.27; the distance from which on the input counts as infinite.

    Source: TFLite Micro ``CalculateArithmeticOpDataLogistic``, TFLite ``CalculateInputRadius``.
    """
    m, shift = quantize_multiplier(quant.s * (1 << (31 - INTEGER_BITS)))
    radius = math.floor(((1 << INTEGER_BITS) - 1) * 2.0 ** (31 - INTEGER_BITS - shift))
    distance = x.astype(np.int64) - quant.zp
    inside = np.clip(distance, -radius, radius)
    return distance, multiply_by_quantized_multiplier(inside, m, shift), radius
