"""LEAKY_RELU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from chipfit.graph import Array, Node
from chipfit.ops._base import Call, Kernel, Port, for_types, register
from chipfit.ops._lookup import lookup_kernel
from chipfit.ops._steps import elements_in_order
from chipfit.ops._unary import Unary, unary_samples


def _int16_call(node: Node) -> Call:
    op = node.op
    if not isinstance(op, LeakyRelu):
        raise TypeError(f"{node} is no leaky_relu")
    positive, negative = op.multipliers(node)
    params = {
        "n": node["y"].type.size,
        "positive_m": positive[0],
        "positive_shift": positive[1],
        "negative_m": negative[0],
        "negative_shift": negative[1],
        "negative_sign": -1 if op.alpha < 0 else 1,
    }
    return Call([Port("x"), Port("y")], params)


@register
@dataclass(frozen=True)
class LeakyRelu(Unary):
    """y = x > 0 ? x : x * alpha; alpha may be negative.

    int8, int16 or float32. Source: TFLite LEAKY_RELU; integers as in the TFLite Micro reference kernel: both sides are
    rescaled with double rounding, by multipliers that are double quotients (LiteRT: float32 quotients, so that a tie
    can fall otherwise).
    """

    name: ClassVar[str] = "leaky_relu"

    alpha: float

    kernels: ClassVar[tuple[Kernel, ...]] = (
        lookup_kernel(),
        Kernel("cf_leaky_relu_s16", for_types("int16"), call=_int16_call, traversal=elements_in_order),
        Kernel("cf_leaky_relu_f32", for_types("float32"), traversal=elements_in_order),
    )

    def eval_float(self, node: Node, *x: Array) -> Array:
        return np.where(x[0] > 0, x[0], x[0] * np.float32(self.alpha))

    def eval_int(self, node: Node, *x: Array) -> Array:
        y = node["y"]
        distance = x[0].astype(np.int64) - node["x"].q.zp
        positive, negative = self.multipliers(node)
        above = multiply_by_quantized_multiplier(distance, *positive)
        below = multiply_by_quantized_multiplier(distance, *negative)
        below = -below if self.alpha < 0 else below
        return np.clip(np.where(distance >= 0, above, below) + y.q.zp, *y.dtype.range)

    def multipliers(self, node: Node) -> tuple[tuple[int, int], tuple[int, int]]:
        """Of x where it is not negative, and of x by the magnitude of alpha."""
        x, y = node["x"].q.s, node["y"].q.s
        return quantize_multiplier(x / y), quantize_multiplier(abs(x * float(np.float32(self.alpha)) / y))

    def call(self, node: Node) -> Call:
        return Call([Port("x"), Port("y")], {"n": node["y"].type.size, "alpha": self.alpha})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for alpha in (0.1, 0.3, 1.7, -0.4):
            yield from unary_samples(rng, cls(alpha))
