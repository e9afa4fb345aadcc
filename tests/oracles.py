"""The two foreign interpreters (:mod:`chipfit.oracle`) as tests use them: one run, and marks to skip by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from chipfit import oracle
from chipfit.graph import Array, Node
from chipfit.ops._weights_only import real_weights

HAVE_TFLM = oracle.have_tflm()
HAVE_LITERT = oracle.have_litert()

needs_tflm = pytest.mark.skipif(not HAVE_TFLM, reason=oracle.TFLM_MISSING)
needs_litert = pytest.mark.skipif(not HAVE_LITERT, reason=oracle.LITERT_MISSING)


def tflm_run(model: bytes, inputs: Sequence[Array]) -> list[Array]:
    """Outputs of one run on TFLite Micro."""
    return oracle.tflm_run(model, [inputs])[0]


def litert_run(model: bytes, inputs: Sequence[Array]) -> list[Array]:
    """Outputs of one run on LiteRT's reference kernels."""
    return oracle.litert_run(model, [inputs])[0]


def hybrid_noise(node: Node, x: Array) -> float:
    """How far LiteRT may be from a float layer with int8 weights, whose inputs it rounds to integers as it runs.

    A step of inputs between 0 and the greatest magnitude, times the weights that an output sums up.
    """
    w = node["w"]
    axis = 3 if node.op.name == "depthwise_conv2d" else 0
    sums = np.abs(np.moveaxis(real_weights(w, w.array), axis, 0).reshape(w.shape[axis], -1)).sum(axis=1)
    return float(np.abs(x).max()) / 127 * float(sums.max())


_POSITIVE = {("log", "x"), ("sqrt", "x"), ("rsqrt", "x"), ("pow", "a")}


def within_domain(node: Node, inputs: Sequence[Array]) -> list[Array]:
    """Random inputs where the operator has a meaning: indices inside, roots of positive numbers, no division by 0."""
    found: list[Array] = []
    values = [v for v in node.operands if not v.is_const]
    ports = {v: (node.op.name, port) for v, port in zip(node.operands, node.op.inputs, strict=False)}
    for value, x in zip(values, inputs, strict=False):
        port = ports.get(value)
        zero = 0 if value.type.quant is None or value.type.quant.axis is not None else value.q.zp
        if port == ("gather", "indices"):
            x = x % node["x"].shape[node.op.attributes()["axis"]]
        elif port == ("gather_nd", "indices"):
            x = x % np.array(node["x"].shape[: x.shape[-1]], x.dtype)
        elif (port in _POSITIVE or port == ("div", "b")) and x.dtype.kind == "f":
            x = np.abs(x) + np.float32(0.5)
        elif port in _POSITIVE:
            high = value.dtype.range[1]
            x = np.clip(x, min(zero + 1, high), high)
        elif port == ("div", "b"):
            x = np.where(x == zero, zero - 1 if zero > value.dtype.range[0] else zero + 1, x).astype(x.dtype)
        found.append(x)
    return [*found, *inputs[len(found) :]]
