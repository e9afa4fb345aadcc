"""The integer LOGISTIC and TANH of TFLite.

int8: an input in Q4.27, gemmlowp's fixed-point functions, one rounding to 8 bits. int16: both are interpolated in one
table of the logistic function for 0 <= x < 10.6 in steps of 1/24; tanh(x) = 2 * logistic(2 * x) - 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import LOGISTIC_TABLE, Int, multiply_by_quantized_multiplier, quantize_multiplier
from chipfit.graph import Array, DType, Node, Quant
from chipfit.ops._base import Call, Const, Kernel, Op, Port, for_types, int16_type, make_node
from chipfit.ops._steps import elements_in_order


def logistic_float(x: Array) -> Array:
    """1 / (1 + exp(-x)) on float32; beyond two bounds the quotient would be the same float, or exp(x) the better one.

    Source: TFLite ``reference_ops::Logistic``.
    """
    one = np.float32(1)
    e = np.exp(np.where(x < -9, x, -x).astype(np.float64)).astype(np.float32)
    return np.where(x > np.float32(16.619047), one, np.where(x < -9, e, one / (one + e)))


# ---------------------------------------------------------------------------------------------- int8

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


# ---------------------------------------------------------------------------------------------- int16

_UNIT = 4096 * 3
"""Of the scaled input: 2**9 of them are a step of the table for the logistic function, 2**8 for tanh."""

_GREATEST_MULTIPLIER = (1 << 16) - 1
"""Its product with an int16 fits into int32."""


def input_multiplier(scale: float, powers: tuple[int, ...]) -> tuple[int, int]:
    """``(m, shift)``: elements times ``m * 2**-shift`` count in units of 1/12288.

    Scales near 2**power count as exactly that for the ``powers`` that TFLite Micro takes for a special case.
    Source: TFLite Micro ``CalculateArithmeticOpDataLogistic`` and, for TANH, ``CalculateArithmeticOpData``.
    """
    log2 = float(np.log(np.float32(scale)) * np.float32(1 / math.log(2)))
    if abs(log2 - round(log2)) < 1e-3 and round(log2) in powers:
        return 3 << (round(log2) + 12), 0
    m, shift = scale * _UNIT, 0
    while m <= 32767 / 2 and shift <= 30:
        m, shift = 2 * m, shift + 1
    return int(m), shift


def check_int16(node: Node, powers: tuple[int, ...]) -> None:
    """Raise O002 for an int16 input whose scale leaves the 32 bits of the scaled input."""
    x = node["x"]
    if x.dtype is not DType.INT16:
        return
    m, shift = input_multiplier(x.q.s, powers)
    if m > _GREATEST_MULTIPLIER or shift > 30:
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}': the scale {x.q.s:g} of '{x.name}' ({x.type}) is outside of 2e-9 to 5",
            "the input's range was calibrated wrongly",
        )


def scaled_input(node: Node, x: Array, powers: tuple[int, ...]) -> Int:
    """int16 elements in units of 1/12288, rounded half up."""
    m, shift = input_multiplier(node["x"].q.s, powers)
    return (x.astype(np.int64) * m + ((1 << shift) >> 1)) >> shift


def int16_kernel(name: str, powers: tuple[int, ...]) -> Kernel:
    """``cf_<name>_s16``, which interpolates in the table."""

    def call(node: Node) -> Call:
        m, shift = input_multiplier(node["x"].q.s, powers)
        params = {"n": node["y"].type.size, "m": m, "shift": shift}
        return Call([Port("x"), Const("table", LOGISTIC_TABLE), Port("y")], params, "cf_sigmoid_s16_params")

    return Kernel(f"cf_{name}_s16", for_types("int16"), call=call, traversal=elements_in_order)


def int16_samples(rng: np.random.Generator, op: Op, output: Quant) -> Iterator[Node]:
    """Scales that are powers of two, nearly so, and any; of ranges from tiny to very wide."""
    powers = (2.0**-12, 2.0**-12 * 1.0005, 2.0**-11, 2.0**-13, 2.0**-10)
    scales = (*powers, 1e-8, 0.00003, 0.000244, 0.0003, 0.002, 0.1, 3.5, float(rng.uniform(0.0001, 0.0006)))
    for i, scale in enumerate(scales):
        x = int16_type(rng, *((2, 257), (1, 4, 5, 7), (1,), (1031,))[i % 4], scale=scale)
        yield make_node(op, {"x": x}, (DType.INT16, output))
