"""What EQUAL, NOT_EQUAL, GREATER, GREATER_EQUAL, LESS and LESS_EQUAL share: everything but a relation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import Int, multiply_by_quantized_multiplier, quantize_multiplier
from chipfit.graph import Array, DType, Node, Quant, TensorType, Value
from chipfit.ops._base import Call, Kernel, Op, float_type, for_types, int8_type, make_node
from chipfit.ops._broadcast import PAIRS, Binary, Params, broadcast_call
from chipfit.ops._lookup import lookup_call, scalar_lookup_reason
from chipfit.ops._roles import OWN_INT8, Roles
from chipfit.ops._steps import elements_in_order
from chipfit.ops._types import QUANTIZED_HINT, require_per_tensor

_LEFT_SHIFT = 8
"""Distances from the zero point are scaled up by this many bits before they are brought to real units."""

_MOST_SHIFT = 14
"""Of a scale's multiplier: the scaled distance has then 31 bits."""

RELATIONS = ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")
"""As ``cf_compare.h`` counts them."""


class Compare(Binary):
    """Base: y = whether a relation holds between a and b, with numpy's broadcasting. y: bool.

    a, b: int8, float32, or int32 without quantization. Source: TFLite's operators of these names; int8 as in the TFLite
    Micro reference kernel: both sides are brought to units of 1/256 with double rounding, so that distances below that
    are not seen. It ends the program for scales of 1 and more, which are the same arithmetic here.
    """

    quant: ClassVar[Roles] = OWN_INT8

    @abstractmethod
    def relate(self, a: Array, b: Array) -> Array: ...

    def check(self, node: Node) -> None:
        a, b, y = node["a"], node["b"], node["y"]
        if a.dtype is not b.dtype or a.dtype not in _TYPES or y.dtype is not DType.BOOL:
            raise ChipfitError(
                "O002",
                f"{self.name} '{node.name}' of '{a.name}' ({a.type}) and '{b.name}' ({b.type}) to {y.dtype.value} "
                "cannot be compiled; two of int8, float32 or int32 to bool can",
                QUANTIZED_HINT,
            )
        for value in (a, b) if a.dtype is DType.INT8 else ():
            require_per_tensor(node, value)
            if quantize_multiplier(value.q.s)[1] > _MOST_SHIFT:
                raise ChipfitError("O002", f"{self.name} '{node.name}': '{value.name}' has the scale {value.q.s:g}")

    def eval_int(self, node: Node, *x: Array) -> Array:
        if node["a"].dtype is not DType.INT8:
            return self.relate(x[0], x[1])
        return self.relate(_scaled(node["a"], x[0]), _scaled(node["b"], x[1]))

    def call(self, node: Node) -> Call:
        params: Params = {"relation": RELATIONS.index(self.name)}
        if node["a"].dtype is DType.INT8:
            for port in ("a", "b"):
                m, shift = quantize_multiplier(node[port].q.s)
                params |= {f"{port}_zero": node[port].q.zp, f"{port}_m": m, f"{port}_shift": shift}
            return broadcast_call(node, params)
        return broadcast_call(node, params, "cf_compare_params")


_TYPES = (DType.INT8, DType.FLOAT32, DType.INT32)


def _scaled(value: Value, x: Array) -> Int:
    distance = (x.astype(np.int64) - value.q.zp) << _LEFT_SHIFT
    return multiply_by_quantized_multiplier(distance, *quantize_multiplier(value.q.s))


COMPARE_KERNELS = (
    Kernel(
        "cf_lookup_s8",
        for_types("int8", "bool"),
        when=scalar_lookup_reason,
        call=lookup_call,
        traversal=elements_in_order,
    ),
    Kernel("cf_compare_s8", for_types("int8", "bool"), traversal=elements_in_order),
    Kernel("cf_compare_f32", for_types("float32", "bool"), traversal=elements_in_order),
    Kernel("cf_compare_s32", for_types("int32", "bool"), traversal=elements_in_order),
)


def compare_samples(rng: np.random.Generator, op: Op) -> Iterator[Node]:
    """Operands with one scale, and with two; integers and floats of which some are equal."""
    to_bool = (DType.BOOL, None)
    for i, (a_shape, b_shape) in enumerate(PAIRS):
        a, b = int8_type(rng, *a_shape), int8_type(rng, *b_shape)
        if i % 2:
            b = TensorType(b_shape, DType.INT8, Quant.per_tensor(a.q.s, a.q.zp))
        constant = rng.integers(-128, 128, a_shape, dtype=np.int8)
        yield make_node(op, {"a": a, "b": b}, to_bool)
        yield make_node(op, {"a": (a, constant), "b": b}, to_bool)
        few = rng.integers(-2, 3, a_shape)
        for dtype in (DType.FLOAT32, DType.INT32):
            yield make_node(op, {"a": TensorType(a_shape, dtype), "b": TensorType(b_shape, dtype)}, to_bool)
            yield make_node(op, {"a": few.astype(dtype.numpy), "b": TensorType(b_shape, dtype)}, to_bool)
    halves = np.arange(-8, 8, dtype=np.float32) / 2
    yield make_node(op, {"a": float_type(3, 1), "b": halves}, to_bool)
    for scale in (0.0005, 0.4):
        a = int8_type(rng, 257, scale=scale, zero_point=-3)
        yield make_node(op, {"a": a, "b": int8_type(rng, 1, scale=2 * scale, zero_point=9)}, to_bool)
