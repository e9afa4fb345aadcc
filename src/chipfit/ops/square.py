"""SQUARE."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import quantize_multiplier, requantize
from chipfit.graph import Array, DType, Node, Quant
from chipfit.ops._base import Call, Kernel, for_types, int16_type, make_node, register
from chipfit.ops._broadcast import broadcast_call
from chipfit.ops._curve import float_kernel
from chipfit.ops._lookup import lookup_kernel
from chipfit.ops._steps import elements_in_order
from chipfit.ops._unary import Unary, unary_samples


def _multiplier(node: Node) -> tuple[int, int]:
    return quantize_multiplier(node["x"].q.s * node["x"].q.s / node["y"].q.s)


def _int16_call(node: Node) -> Call:
    """MUL of x by itself."""
    m, shift = _multiplier(node)
    low, high = DType.INT16.range
    return broadcast_call(node, {"m": m, "shift": shift, "act_min": low, "act_max": high}, a="x", b="x")


@register
@dataclass(frozen=True)
class Square(Unary):
    """y = x * x.

    int8, int16 or float32. Source: TFLite SQUARE; integers are those of MUL with itself: TensorFlow Lite has none.
    """

    name: ClassVar[str] = "square"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        lookup_kernel(),
        Kernel("cf_mul_s16", for_types("int16"), call=_int16_call, traversal=elements_in_order),
        float_kernel("square"),
    )

    def eval_float(self, node: Node, *x: Array) -> Array:
        return x[0] * x[0]

    def eval_int(self, node: Node, *x: Array) -> Array:
        y = node["y"]
        distance = x[0].astype(np.int64) - node["x"].q.zp
        return requantize(distance * distance, *_multiplier(node), y.q.zp, *y.dtype.range)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls())
        for share in (0.3, 1.0, 2.5):
            x = int16_type(rng, 3, 211)
            yield make_node(cls(), {"x": x}, (DType.INT16, Quant.per_tensor(x.q.s * x.q.s * 32767 * share)))
