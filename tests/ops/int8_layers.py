"""Layers on int8 with given weights, for tests of what is done with these."""

from __future__ import annotations

import math

import numpy as np

from chipfit.graph import Array, DType, Node, Quant, Shape, TensorType
from chipfit.ops import Op, make_node
from chipfit.ops._base import int8_type


def int8_layer(op: Op, x_shape: Shape, w: Array, seed: int = 0) -> Node:
    """A convolution or fully connected layer: a scale for each output channel, a bias, outputs that fill the range;
    the zero point that quantizers choose behind RELU."""
    rng = np.random.default_rng(seed)
    axis = 3 if op.name == "depthwise_conv2d" else 0
    out, x = w.shape[axis], int8_type(rng, *x_shape)
    scales = tuple(float(s) for s in rng.uniform(1e-3, 2e-2, out).astype(np.float32))
    zeros = (0,) * out
    b = rng.integers(-2000, 2000, out, dtype=np.int32)
    inputs = {
        "x": x,
        "w": (TensorType(w.shape, DType.INT8, Quant(scales, zeros, axis)), w),
        "b": (TensorType(b.shape, DType.INT32, Quant(tuple(x.q.s * s for s in scales), zeros, 0)), b),
    }
    spread = x.q.s * max(scales) * 74 * 74 * math.sqrt(w.size / out) / 64
    zero = -128 if op.attributes()["act"] == "relu" else int(rng.integers(-100, 100))
    return make_node(op, inputs, (DType.INT8, Quant.per_tensor(spread, zero)))
