"""MUL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import quantize_multiplier, requantize
from chipfit.graph import Array, DType, Node
from chipfit.ops._activation import Activation, activation_float, activation_range, activation_range_float
from chipfit.ops._base import Call, Kernel, for_types, register
from chipfit.ops._broadcast import (
    Binary,
    Params,
    binary_samples,
    broadcast_call,
    int16_samples,
    int32_samples,
    scaled_sample,
)
from chipfit.ops._int32 import activation_range_int32, clamp_int32
from chipfit.ops._lookup import scalar_lookup_kernel
from chipfit.ops._steps import elements_in_order
from chipfit.ops._types import require_one_type


@register
@dataclass(frozen=True)
class Mul(Binary):
    """y = act(a * b), with numpy's broadcasting. int8, int16, float32, or int32 without quantization (wraps around).

    Source: TFLite MUL; int8 and int16 as in the TFLite Micro reference kernel: one double rounding of
    (a - za) * (b - zb), by a multiplier in double (LiteRT: in float32, so that a tie can fall otherwise).
    """

    name: ClassVar[str] = "mul"

    act: Activation = "none"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        scalar_lookup_kernel(),
        Kernel("cf_mul_s8", for_types("int8"), traversal=elements_in_order),
        Kernel("cf_mul_s16", for_types("int16"), traversal=elements_in_order),
        Kernel("cf_mul_f32", for_types("float32"), traversal=elements_in_order),
        Kernel("cf_mul_s32", for_types("int32"), traversal=elements_in_order),
    )

    def check(self, node: Node) -> None:
        require_one_type(node, DType.INT8, DType.INT16, DType.FLOAT32, DType.INT32)

    def eval_float(self, node: Node, *x: Array) -> Array:
        return activation_float(self.act, x[0] * x[1])

    def eval_int(self, node: Node, *x: Array) -> Array:
        a, b = x[0].astype(np.int64), x[1].astype(np.int64)
        y = node["y"]
        if y.dtype is DType.INT32:
            return clamp_int32(self.act, a * b)
        m, shift = multiplier(node)
        low, high = activation_range(self.act, y.dtype, y.q)
        return requantize((a - node["a"].q.zp) * (b - node["b"].q.zp), m, shift, y.q.zp, low, high)

    def call(self, node: Node) -> Call:
        y = node["y"]
        if y.dtype is DType.FLOAT32:
            low_f, high_f = activation_range_float(self.act)
            return broadcast_call(node, {"act_min": low_f, "act_max": high_f}, "cf_binary_f32_params")
        if y.dtype is DType.INT32:
            low, high = activation_range_int32(self.act)
            return broadcast_call(node, {"act_min": low, "act_max": high}, "cf_binary_s32_params")
        m, shift = multiplier(node)
        low, high = activation_range(self.act, y.dtype, y.q)
        params: Params = {"m": m, "shift": shift, "act_min": low, "act_max": high}
        if y.dtype is DType.INT16:
            return broadcast_call(node, params)
        zeros: Params = {"a_zero": node["a"].q.zp, "b_zero": node["b"].q.zp, "y_zero": y.q.zp}
        return broadcast_call(node, {**zeros, **params})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from binary_samples(rng, cls(), 3.0)
        yield from binary_samples(rng, cls("relu"), 8.0, pairs=slice(2))
        yield from binary_samples(rng, cls("relu6"), 3.0, pairs=slice(1, 4))
        yield from binary_samples(rng, cls("relu_n1_to_1"), 0.3, pairs=slice(1, 4))
        yield scaled_sample(rng, cls(), 0.25, 0.25, 0.01)  # a product that is scaled up
        yield from int16_samples(rng, cls, 9000.0)
        yield from int32_samples(rng, cls())


def multiplier(node: Node) -> tuple[int, int]:
    """Of the product. Source: TFLite Micro ``CalculateOpDataMul``: in double."""
    return quantize_multiplier(node["a"].q.s * node["b"].q.s / node["y"].q.s)
