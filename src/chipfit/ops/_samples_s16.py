"""Samples of layers on int16 for the generic tests."""

from __future__ import annotations

from math import prod
from typing import Literal

import numpy as np

from chipfit.graph import DType, Node, Quant, Shape, TensorType
from chipfit.ops._base import Op, make_node

Bias = Literal["int64", "int32", "none"]


def s16_sample(
    rng: np.random.Generator,
    op: Op,
    x_shape: Shape,
    w_shape: Shape,
    axis: int,
    *,
    bias: Bias = "int64",
    per_tensor: bool = False,
    gain: float = 1.0,
    heavy: bool = False,
    far: bool = False,
    computed: bool = False,
) -> Node:
    """A layer with weights whose output channels lie along ``axis``, its outputs about as wide as their range.

    ``gain``: scales all outputs up. ``heavy``: greatest weights, so that sums leave 32 bits sooner. ``far``: the first
    channel's scale is tiny, the second channel's weights are 0. ``computed``: the weights are an input.
    """
    out = w_shape[axis]
    x = TensorType(x_shape, DType.INT16, Quant.per_tensor(float(rng.uniform(1e-4, 1e-2))))
    w = rng.integers(-127, 128, w_shape, dtype=np.int8)
    scales = [float(s) for s in rng.uniform(1e-3, 2e-2, 1 if per_tensor else out).astype(np.float32)]
    if heavy:
        w = np.where(w < 0, np.int8(-128), np.int8(127))
    if far and out > 1:
        scales[0] = float(np.float32(scales[0] * 1e-6))
        w[(slice(None),) * axis + (1,)] = 0
    zeros, at = (0,) * len(scales), None if per_tensor else axis
    w_type = TensorType(w_shape, DType.INT8, Quant(tuple(scales), zeros, at))
    columns = prod(w_shape) // out
    spread = (127 if heavy else 73) * 18900 * float(np.sqrt(columns))  # about that of the sums
    b = rng.integers(-int(spread), int(spread), out).astype(np.int32 if bias == "int32" else np.int64)
    b_quant = Quant(tuple(x.q.s * s for s in scales), zeros, None if per_tensor else 0)
    b_type = TensorType((out,), DType.of(b), b_quant)
    y = Quant.per_tensor(x.q.s * max(scales) * spread / 12000 / gain * float(rng.uniform(0.7, 1.5)))
    weights = w_type if computed else (w_type, w)
    return make_node(op, {"x": x, "w": weights, "b": None if bias == "none" else (b_type, b)}, (DType.INT16, y))
