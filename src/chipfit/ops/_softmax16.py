"""The int16 SOFTMAX of TFLite: exponentials and the reciprocal of their sum are interpolated in tables of 513 numbers.

An element enters as its difference to the greatest of its row, scaled such that 65535 steps are 10: what lies further
below counts as that. Source: TFLite Micro ``CalculateSoftmaxParams``, TFLite ``SoftmaxInt16`` and ``LUTPopulate``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import (
    Int,
    leading_zeros,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)
from chipfit.graph import Array, DType, Node
from chipfit.ops._base import Call, Const, Port
from chipfit.ops._table16 import interpolate, interpolation_table

_RANGE = np.float32(65535)
_LOW, _HIGH = -32768, 32767
_MOST = 65535
"""Elements of a row whose exponentials, below 2**15 each, have a sum in int32."""


def _table(function: Callable[[Array], Array], span: float, zero_point: int) -> Array:
    """``function`` as Q0.15 at 513 points over ``span``, int16; ``zero_point``: the int16 that stands for 0."""
    return interpolation_table(function, np.float32(span) / _RANGE, zero_point, np.float32(2) / _RANGE)


def _exp(x: Array) -> Array:
    return np.exp(x.astype(np.float64)).astype(np.float32)


def _reciprocal(x: Array) -> Array:
    """1 / (1 + x)."""
    return np.float32(1) / (np.float32(1) + x)


EXPS = _table(_exp, 10.0, _HIGH)
"""exp(x) for x from -10 to 0."""

RECIPROCALS = _table(_reciprocal, 1.0, _LOW)
"""1 / (1 + x) for x from 0 to 1."""


def _look_up(table: Array, x: Int) -> Int:
    """Between the two numbers around ``x``, clamped to int16."""
    return interpolate(table, np.clip(x, _LOW, _HIGH))


def _difference_scaling(node: Node) -> tuple[int, int]:
    """``(m, shift)`` of differences between elements, in double; beta is a float32."""
    beta = float(np.float32(node.op.attributes()["beta"]))
    return quantize_multiplier(node["x"].q.s * beta / (10.0 / 65535.0))


def softmax16(node: Node, x: Array) -> Int:
    """Along the last axis, Q0.15."""
    x = x.astype(np.int64)
    below = x - x.max(axis=-1, keepdims=True)
    scaled = multiply_by_quantized_multiplier(below, *_difference_scaling(node))
    exps = _look_up(EXPS, scaled + _HIGH)
    sums = exps.sum(axis=-1, keepdims=True)
    zeros = leading_zeros(sums)
    # the sum is 1 + x times a power of two
    x_of_sum = (((sums << (zeros - 1)) + (1 << 13)) >> 14) - (1 << 16) - (1 << 15)
    shift = 31 - zeros
    return np.clip((exps * _look_up(RECIPROCALS, x_of_sum) + (np.int64(1) << (shift - 1))) >> shift, 0, _HIGH)


def check_softmax16(node: Node) -> None:
    """Raise O002 for an int16 row that is too long for sums of 32 bits."""
    x = node["x"]
    if x.dtype is DType.INT16 and x.shape[-1] > _MOST:
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}': '{x.name}' ({x.type}) has rows of {x.shape[-1]:,} elements; up to "
            f"{_MOST:,} are possible",
            "leave this operator in float32, or replace it by arg_max",
        )


def softmax16_call(node: Node) -> Call:
    x = node["x"]
    m, shift = _difference_scaling(node)
    params = {"rows": x.type.size // x.shape[-1], "depth": x.shape[-1], "m": m, "shift": shift}
    return Call([Port("x"), Const("exps", EXPS), Const("reciprocals", RECIPROCALS), Port("y")], params)
