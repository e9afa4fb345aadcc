"""PRELU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from chipfit.graph import Array, DType, Node, Quant, Shape, TensorType
from chipfit.ops._base import Call, Kernel, Op, float_type, for_types, int8_type, make_node, register
from chipfit.ops._broadcast import Params, broadcast_call, broadcast_shape
from chipfit.ops._lookup import scalar_lookup_kernel
from chipfit.ops._roles import OWN_INT8, Roles
from chipfit.ops._steps import elements_in_order
from chipfit.ops._traversal import Rows, elementwise_rows, sliced
from chipfit.ops._types import require_one_type


@register
@dataclass(frozen=True)
class PRelu(Op):
    """y = x >= 0 ? x : x * alpha; alpha is broadcast to the shape of x. int8 or float32.

    Source: TFLite PRELU; int8 as in the TFLite Micro reference kernel: both sides are rescaled with double rounding.
    """

    name: ClassVar[str] = "prelu"
    inputs: ClassVar[tuple[str, ...]] = ("x", "alpha")
    quant: ClassVar[Roles] = OWN_INT8

    kernels: ClassVar[tuple[Kernel, ...]] = (
        scalar_lookup_kernel(),
        Kernel("cf_prelu_s8", for_types("int8"), traversal=elements_in_order),
        Kernel("cf_prelu_f32", for_types("float32"), traversal=elements_in_order),
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        shape = broadcast_shape(node, "x", "alpha")
        if shape != node["x"].shape:
            raise ChipfitError(
                "G003",
                f"prelu: alpha '{node['alpha'].name}' {node['alpha'].type} does not fit into '{node['x'].name}' "
                f"{node['x'].type}",
            )
        return [shape]

    def check(self, node: Node) -> None:
        require_one_type(node, DType.INT8, DType.FLOAT32)

    def eval_float(self, node: Node, *x: Array) -> Array:
        return np.where(x[0] >= 0, x[0], x[0] * x[1])

    def eval_int(self, node: Node, *x: Array) -> Array:
        value = x[0].astype(np.int64) - node["x"].q.zp
        alpha = x[1].astype(np.int64) - node["alpha"].q.zp
        positive, negative = _multipliers(node)
        above = multiply_by_quantized_multiplier(value, *positive)
        below = multiply_by_quantized_multiplier(value * alpha, *negative)
        return np.clip(np.where(value >= 0, above, below) + node["y"].q.zp, *DType.INT8.range)

    def rows(self, node: Node) -> Rows | str:
        return elementwise_rows(node)

    def slice_rows(self, node: Node, first: int, count: int, padded: bool) -> Node:
        return sliced(node, self, first, first + count, count)

    def call(self, node: Node) -> Call:
        if node["y"].dtype is DType.FLOAT32:
            return broadcast_call(node, {}, "cf_broadcast_params", "x", "alpha")
        positive, negative = _multipliers(node)
        params: Params = {
            "x_zero": node["x"].q.zp,
            "alpha_zero": node["alpha"].q.zp,
            "y_zero": node["y"].q.zp,
            "positive_m": positive[0],
            "positive_shift": positive[1],
            "negative_m": negative[0],
            "negative_shift": negative[1],
        }
        return broadcast_call(node, params, None, "x", "alpha")

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for x_shape, alpha_shape in (
            ((1, 4, 3, 5), (1, 1, 5)),
            ((2, 4, 3, 5), (4, 3, 5)),
            ((1, 4, 3, 5), (4, 1, 1)),
            ((1, 4, 3, 5), (1, 3, 1)),
            ((1, 3, 7), (1,)),
            ((2, 3), (2, 3)),
        ):
            x, alpha_type = int8_type(rng, *x_shape), int8_type(rng, *alpha_shape)
            alpha = rng.integers(-128, 128, alpha_shape, dtype=np.int8)
            for factor in (0.7, 2.5):
                y = Quant.per_tensor(x.q.s * factor, int(rng.integers(-128, 128)))
                yield make_node(cls(), {"x": x, "alpha": (alpha_type, alpha)}, (DType.INT8, y))
            alpha_f = rng.normal(0, 1, alpha_shape).astype(np.float32)
            yield make_node(cls(), {"x": float_type(*x_shape), "alpha": alpha_f}, (DType.FLOAT32, None))
        variable = TensorType((1, 1, 5), DType.INT8, Quant.per_tensor(0.01))
        x = int8_type(rng, 1, 4, 3, 5)
        yield make_node(cls(), {"x": x, "alpha": variable}, (DType.INT8, x.q))


def _multipliers(node: Node) -> tuple[tuple[int, int], tuple[int, int]]:
    """Of x where it is not negative, and of x * alpha. Source: TFLite Micro ``CalculatePreluParams``: in double."""
    x, alpha, y = node["x"].q.s, node["alpha"].q.s, node["y"].q.s
    return quantize_multiplier(x / y), quantize_multiplier(x * alpha / y)
