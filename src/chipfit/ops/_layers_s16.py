"""Layers with int16 activations and int8 weights: what their sums mean, and what their portable kernels are given.

TensorFlow Lite's 16x8 form: activations are symmetric, sums and bias have 64 bits. A multiplier is rounded to 15 bits
for such sums. A bias of 32 bits stands for another meaning, that of int8 layers: sums of 32 bits, which wrap, and a
multiplier of 31 bits, rounded twice. TFLite Micro has it for CONV_2D and FULLY_CONNECTED; its DEPTHWISE_CONV_2D takes
such a bias for one of 64 bits, so that it is refused here.
"""

from __future__ import annotations

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import (
    Int,
    multiply_by_quantized_multiplier,
    multiply_wide_by_quantized_multiplier,
    reduce_multiplier,
)
from chipfit.graph import Array, DType, Node
from chipfit.ops._activation import activation_range
from chipfit.ops._base import Arg, Const, Port
from chipfit.ops._checks import require_scales
from chipfit.ops._window import output_multipliers

GREATEST_SHIFT = 14
"""Multipliers of 2**14 and more have no meaning on sums of 64 bits: TFLite would shift by a negative number."""


def is_s16(node: Node) -> bool:
    """Whether a layer works on int16."""
    return node["x"].dtype is DType.INT16


def has_bias32(node: Node) -> bool:
    """Whether a layer on int16 has sums of 32 bits."""
    b = node.get("b")
    return b is not None and b.dtype is DType.INT32


def check_s16(node: Node, axis: int, bias32: bool = True) -> None:
    """Raise O002 unless a layer on int16 can be compiled. ``axis``: of the output channels in the weights.

    ``bias32``: whether the operator has a meaning with a bias of 32 bits.
    """
    x, w, y, b = node["x"], node["w"], node["y"], node.get("b")
    kinds = [DType.INT64, DType.INT32] if bias32 else [DType.INT64]
    require_scales(node, "x", "y")
    problem, hint = "", "convert the model with the TensorFlow Lite converter's 16x8 quantization"
    if (w.dtype, y.dtype) != (DType.INT8, DType.INT16):
        problem = f"has int16 inputs, but {w.dtype.value} weights '{w.name}' and {y.dtype.value} outputs"
    elif x.q.zp != 0 or y.q.zp != 0:
        problem = f"has zero points {x.q.zp} ('{x.name}') and {y.q.zp} ('{y.name}'); int16 activations are symmetric"
    elif w.type.quant is None or any(w.q.zero_point):
        problem = f"has weights '{w.name}' ({w.type}) without symmetric quantization"
    elif len(w.q.scale) != 1 and (w.q.axis != axis or len(w.q.scale) != w.shape[axis]):
        problem = f"has weights '{w.name}' ({w.type}), which need one scale, or {w.shape[axis]} along axis {axis}"
    elif b is not None and b.dtype not in kinds:
        problem = f"has the {b.dtype.value} bias '{b.name}', expected {' or '.join(k.value for k in kinds)}"
        if b.dtype is DType.INT32:
            hint = "convert the model again with a bias of 64 bits: TensorFlow Lite Micro misreads this one"
    elif not has_bias32(node) and _multipliers(node)[1].max() > GREATEST_SHIFT:
        problem = f"scales its sums by more than 2**{GREATEST_SHIFT}: '{y.name}' has the scale {y.q.s:g}"
        hint = "calibrate the model with samples that look like what it will see"
    if problem:
        raise ChipfitError("O002", f"{node.op.name} '{node.name}' {problem}", hint)


def requantize_s16(node: Node, acc: Int) -> Int:
    """Outputs of these sums, bias included; the last axis holds the output channels."""
    m, shift = _multipliers(node)
    multiply = multiply_by_quantized_multiplier if has_bias32(node) else multiply_wide_by_quantized_multiplier
    return np.clip(multiply(acc.astype(np.int32) if has_bias32(node) else acc, m, shift), *range_s16(node))


def range_s16(node: Node) -> tuple[int, int]:
    """Least and greatest output that the fused activation allows."""
    y = node["y"]
    return activation_range(node.op.attributes()["act"], y.dtype, y.q)


def arguments_s16(node: Node) -> tuple[list[Arg], dict[str, int]]:
    """Pointers and fields of the portable kernels (runtime/include/cf_s16.h), without those of the shape."""
    m, shift = multipliers_s16(node)
    low, high = range_s16(node)
    tables = [Const("m", m, "weights"), Const("shift", shift.astype(np.int8), "weights")]
    fields = {"bias32": int(has_bias32(node)), "act_min": low, "act_max": high}
    return [Port("x"), Port("w"), Port("b"), *tables, Port("y")], fields


def multipliers_s16(node: Node) -> tuple[Array, Array]:
    """``(m, shift)`` for each output channel, both int32; m has 15 bits, but 31 for sums of 32 bits."""
    m, shift = _multipliers(node)
    return (m if has_bias32(node) else reduce_multiplier(m).astype(np.int32)), shift


def _multipliers(node: Node) -> tuple[Array, Array]:
    return output_multipliers(node["x"], node["w"], node["y"], node["y"].shape[-1])
