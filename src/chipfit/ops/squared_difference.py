"""SQUARED_DIFFERENCE."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier, requantize
from chipfit.graph import Array, DType, Node, Value
from chipfit.ops._base import Call, Kernel, for_types, register
from chipfit.ops._broadcast import Binary, Params, binary_samples, broadcast_call, int16_samples, scaled_sample
from chipfit.ops._lookup import scalar_lookup_kernel
from chipfit.ops._steps import elements_in_order
from chipfit.ops._types import require_one_type

_LEFT_SHIFT = {DType.INT8: 7, DType.INT16: 0}
"""Operands are scaled up by this many bits before they are brought to one scale: their difference has 16 bits then."""


@register
@dataclass(frozen=True)
class SquaredDifference(Binary):
    """y = (a - b) * (a - b), with numpy's broadcasting. int8, int16 or float32.

    Source: TFLite SQUARED_DIFFERENCE; int8 and int16 as in the TFLite Micro reference kernel: both operands are brought
    to one scale, twice the greater one, and the square of their difference is rescaled; three double roundings.
    """

    name: ClassVar[str] = "squared_difference"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        scalar_lookup_kernel(),
        Kernel("cf_squared_difference_s8", for_types("int8"), traversal=elements_in_order),
        Kernel("cf_squared_difference_s16", for_types("int16"), traversal=elements_in_order),
        Kernel("cf_squared_difference_f32", for_types("float32"), traversal=elements_in_order),
    )

    def check(self, node: Node) -> None:
        require_one_type(node, DType.INT8, DType.INT16, DType.FLOAT32)

    def eval_float(self, node: Node, *x: Array) -> Array:
        difference = x[0] - x[1]
        return difference * difference

    def eval_int(self, node: Node, *x: Array) -> Array:
        y = node["y"]
        to_a, to_b, to_y = _multipliers(node)

        def scaled(value: Value, elements: Array, multiplier: float) -> Array:
            distance = (elements.astype(np.int64) - value.q.zp) << _LEFT_SHIFT[y.dtype]
            return multiply_by_quantized_multiplier(distance, *quantize_multiplier(multiplier))

        difference = scaled(node["a"], x[0], to_a) - scaled(node["b"], x[1], to_b)
        return requantize(difference * difference, *quantize_multiplier(to_y), y.q.zp, *y.dtype.range)

    def call(self, node: Node) -> Call:
        if node["y"].dtype is DType.FLOAT32:
            return broadcast_call(node, {}, "cf_broadcast_params")
        params: Params = {}
        for port, multiplier in zip(("a", "b", "y"), _multipliers(node), strict=True):
            m, shift = quantize_multiplier(multiplier)
            params |= {f"{port}_m": m, f"{port}_shift": shift}
            if node["y"].dtype is DType.INT8:
                params |= {f"{port}_zero": node[port].q.zp}
        return broadcast_call(node, params)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from binary_samples(rng, cls(), 12.0)
        yield from binary_samples(rng, cls(), 1.0, pairs=slice(3))
        yield scaled_sample(rng, cls(), 0.5, 0.5, 1.0)  # exact halves of both signs
        yield scaled_sample(rng, cls(), 0.02, 0.6, 40.0)
        yield from int16_samples(rng, cls, 20000.0)


def _multipliers(node: Node) -> tuple[float, float, float]:
    """Of the two operands and of the square. Source: TFLite Micro ``PrepareQuantized``."""
    a, b, y = node["a"].q.s, node["b"].q.s, node["y"].q.s
    twice = 2.0 * max(a, b)
    return a / twice, b / twice, twice * twice / ((1 << 2 * _LEFT_SHIFT[node["y"].dtype]) * y)
