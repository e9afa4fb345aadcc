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


@register
@dataclass(frozen=True)
class LeakyRelu(Unary):
    """y = x > 0 ? x : x * alpha; alpha may be negative.

    Source: TFLite LEAKY_RELU; int8 as in the TFLite Micro reference kernel: both sides are rescaled with double
    rounding, by multipliers that are double quotients (LiteRT: float32 quotients, so that a tie can fall otherwise).
    """

    name: ClassVar[str] = "leaky_relu"

    alpha: float

    kernels: ClassVar[tuple[Kernel, ...]] = (
        lookup_kernel(),
        Kernel("cf_leaky_relu_f32", for_types("float32"), traversal=elements_in_order),
    )

    def eval_float(self, node: Node, *x: Array) -> Array:
        return np.where(x[0] > 0, x[0], x[0] * np.float32(self.alpha))

    def eval_int(self, node: Node, *x: Array) -> Array:
        x_quant, y_quant = node["x"].q, node["y"].q
        identity = x_quant.s / y_quant.s
        alpha = x_quant.s * float(np.float32(self.alpha)) / y_quant.s
        distance = x[0].astype(np.int64) - x_quant.zp
        above = multiply_by_quantized_multiplier(distance, *quantize_multiplier(identity))
        below = multiply_by_quantized_multiplier(distance, *quantize_multiplier(abs(alpha)))
        below = -below if alpha < 0 else below
        return np.clip(np.where(distance >= 0, above, below) + y_quant.zp, -128, 127)

    def call(self, node: Node) -> Call:
        return Call([Port("x"), Port("y")], {"n": node["y"].type.size, "alpha": self.alpha})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for alpha in (0.1, 0.3, 1.7, -0.4):
            yield from unary_samples(rng, cls(alpha))
