"""RSQRT."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import inverse_sqrt, multiply_by_quantized_multiplier, quantize_multiplier
from chipfit.graph import Array, Node
from chipfit.ops._base import Call, Kernel, Port, for_types, register
from chipfit.ops._curve import float_kernel
from chipfit.ops._lookup import lookup_kernel
from chipfit.ops._steps import elements_in_order
from chipfit.ops._unary import Unary, unary_samples

_EXTRA_BITS = 20
"""Of the reciprocal root of a stored number, which is at most 1."""


def _multiplier(node: Node) -> tuple[int, int]:
    m, shift = quantize_multiplier(1.0 / (math.sqrt(node["x"].q.s) * node["y"].q.s))
    return m, shift - _EXTRA_BITS


def _int16_call(node: Node) -> Call:
    m, shift = _multiplier(node)
    return Call([Port("x"), Port("y")], {"n": node["y"].type.size, "m": m, "shift": shift})


@register
@dataclass(frozen=True)
class Rsqrt(Unary):
    """y = 1 / sqrt(x).

    int8, int16 or float32. Source: TFLite RSQRT; integers in fixed point as in the TFLite Micro reference kernel: five
    Newton steps, then one double rounding, by a double quotient (LiteRT: of float32 scales, and int16 is interpolated
    in a table, which is far off near 0). On integers 0 gives the greatest output, and so does what is negative, where
    TensorFlow Lite ends the run.
    """

    name: ClassVar[str] = "rsqrt"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        lookup_kernel(),
        Kernel("cf_rsqrt_s16", for_types("int16"), call=_int16_call, traversal=elements_in_order),
        float_kernel("rsqrt"),
    )

    def eval_float(self, node: Node, *x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.float32(1) / np.sqrt(x[0])

    def eval_int(self, node: Node, *x: Array) -> Array:
        y = node["y"]
        low, high = y.dtype.range
        distance = x[0].astype(np.int64) - node["x"].q.zp
        m, shift = inverse_sqrt(np.maximum(distance, 1))
        root = multiply_by_quantized_multiplier(1, m, shift + _EXTRA_BITS)
        inside = np.clip(multiply_by_quantized_multiplier(root, *_multiplier(node)) + y.q.zp, low, high)
        return np.where(distance <= 0, high, inside)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls())
