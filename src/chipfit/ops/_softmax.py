"""What softmax and log_softmax share on integers: the scaling of differences and the table of exponentials.

A row's elements enter as differences to its greatest element, 0 .. 255 steps below, so a table by difference holds
every exponential that can occur. Source: TFLite ``PreprocessSoftmaxScaling`` and ``CalculateInputRadius``.
"""

from __future__ import annotations

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import (
    INT32_MAX,
    Int,
    exp_on_negative_values,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
)
from chipfit.graph import Array, DType, Node, Quant, Shape, Value
from chipfit.ops._checks import require_scales

_INTEGER_BITS = 5
MAX_DEPTH = 4095  # the sum of exponentials has 12 integer bits
_STEP = 2.0 ** (_INTEGER_BITS - 31)
"""Of differences in fixed point: an input's scale times beta is greater."""

ROW_SHAPES: tuple[Shape, ...] = ((1, 1), (1, 2), (3, 7), (1, 12), (2, 3, 5), (1, 1, 1, 11), (13,), (2, 257))


def least_scale(beta: float) -> float:
    """A scale of int8 inputs that every kernel takes; below it steps are so small that all outputs are alike."""
    return 2 * _STEP / beta


def difference_scaling(scale: float, beta: float) -> tuple[int, int, int]:
    """``(m, shift, diff_min)``: differences of inputs to Q5.26, and the least difference that fits."""
    m, shift = quantize_multiplier(min(beta * scale * (1 << (31 - _INTEGER_BITS)), float(INT32_MAX)))
    diff_min = -((((1 << _INTEGER_BITS) - 1) << (31 - _INTEGER_BITS)) >> shift)
    return m, shift, diff_min


def exp_table(scale: float, beta: float) -> Int:
    """exp(-d * scale * beta) as Q0.31 for d = 0, 1, ... 255, less the zeros at the end."""
    m, shift, diff_min = difference_scaling(scale, beta)
    differences = -np.arange(min(256, 1 - diff_min))
    table = exp_on_negative_values(multiply_by_quantized_multiplier(differences, m, shift), _INTEGER_BITS)
    return table[: int(np.flatnonzero(table)[-1]) + 1]


def sum_of_exps(below: Int, table: Int) -> tuple[Int, Int]:
    """The exponential of each element (Q0.31) and their sums along the last axis (Q12.19)."""
    exps = np.where(below < len(table), table[np.minimum(below, len(table) - 1)], 0)
    return exps, rounding_divide_by_pot(exps, 12).sum(axis=-1, keepdims=True)


def below_max(x: Array) -> Int:
    """How far each element lies below the greatest of its row."""
    x = x.astype(np.int64)
    return x.max(axis=-1, keepdims=True) - x


def infer_rows(node: Node) -> list[Shape]:
    x = node["x"]
    if not x.shape or x.shape[-1] == 0:
        raise ChipfitError("G003", f"{node.op.name}: '{x.name}' {x.type} has no last axis")
    return [x.shape]


def _is_prescribed(y: Value, allowed: dict[DType, Quant]) -> bool:
    """Whether an output has the quantization that its kernel takes for granted: an int16 scale within a thousandth.

    Source: TFLite Micro ``CalculateSoftmaxParams``: converters also write 1/65535 where the kernel has 1/65536.
    """
    given, asked = y.type.quant, allowed.get(y.dtype)
    if given is None or asked is None or y.dtype is not DType.INT16:
        return given == asked
    return given.zero_point == asked.zero_point and abs(given.s / asked.s - 1) <= 0.001


def check_rows(node: Node, beta: float, allowed: dict[DType, Quant]) -> None:
    """Raise O002 unless an int8 node's scales are those of TFLite's kernels and the fixed-point range suffices."""
    x, y = node["x"], node["y"]
    if x.dtype is not DType.INT8:
        return
    require_scales(node, "x", "y")
    if not _is_prescribed(y, allowed):
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}': output '{y.name}' ({y.type}) has scale {y.q.s:g} and zero point {y.q.zp}",
            "TensorFlow Lite fixes them: "
            + ", ".join(f"{t.value}: scale {q.s:g}, zero point {q.zp}" for t, q in allowed.items()),
        )
    if x.shape[-1] > MAX_DEPTH or beta * x.q.s <= _STEP:
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}': '{x.name}' ({x.type}, scale {x.q.s:g}, beta {beta:g}) leaves the "
            f"fixed-point range; rows of up to {MAX_DEPTH} elements and a scale times beta above 2**-26 are possible",
            "leave this operator in float32, or replace it by arg_max",
        )
