"""DIV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import Int, leading_zeros, quantize_multiplier, reciprocal, rounding_divide_by_pot, srdhm
from chipfit.graph import Array, DType, Node, Quant
from chipfit.ops._activation import Activation, activation_float, activation_range, activation_range_float
from chipfit.ops._base import Call, Kernel, Op, float_type, for_types, int8_type, make_node, register
from chipfit.ops._broadcast import PAIRS, Binary, Params, broadcast_call
from chipfit.ops._lookup import scalar_lookup_kernel
from chipfit.ops._roles import OWN_INT8, Roles
from chipfit.ops._steps import elements_in_order
from chipfit.ops._types import require_one_type

_GREATEST_SHIFT = 22
"""Of the multiplier: the quotient is never scaled up after it was rounded to 31 bits."""


@register
@dataclass(frozen=True)
class Div(Binary):
    """y = act(a / b), with numpy's broadcasting. int8 or float32.

    Source: TFLite DIV; int8 as in the TFLite Micro reference kernel: a times the reciprocal of b in fixed point, which
    is rescaled by a double quotient of the scales (LiteRT: a float32 one, so that a tie can fall otherwise). Where a
    result is so small that its last shift is 32 or more, it is 0 here; TFLite leaves it to the processor, which can
    give any number. x / 0 is the bound of its sign, and 0 / 0 is 0.
    """

    name: ClassVar[str] = "div"
    quant: ClassVar[Roles] = OWN_INT8

    act: Activation = "none"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        scalar_lookup_kernel(),
        Kernel("cf_div_s8", for_types("int8"), traversal=elements_in_order),
        Kernel("cf_div_f32", for_types("float32"), traversal=elements_in_order),
    )

    def check(self, node: Node) -> None:
        require_one_type(node, DType.INT8, DType.FLOAT32)
        if node["y"].dtype is DType.INT8 and _multiplier(node)[1] > _GREATEST_SHIFT:
            raise ChipfitError(
                "O002",
                f"div '{node.name}': the output's scale {node['y'].q.s:g} is too small for those of the operands "
                f"({node['a'].q.s:g}, {node['b'].q.s:g})",
                "the output's range was calibrated wrongly",
            )

    def eval_float(self, node: Node, *x: Array) -> Array:
        with np.errstate(all="ignore"):
            return activation_float(self.act, x[0] / x[1])

    def eval_int(self, node: Node, *x: Array) -> Array:
        y = node["y"]
        a, b = np.broadcast_arrays(x[0].astype(np.int64) - node["a"].q.zp, x[1].astype(np.int64) - node["b"].q.zp)
        low, high = activation_range(self.act, y.dtype, y.q)
        infinite = np.where(a > 0, high, np.where(a < 0, low, np.clip(y.q.zp, low, high)))
        a, b = np.where(b < 0, -a, a), np.where(b == 0, 1, np.abs(b))
        inverse, bits = reciprocal(b, 31)
        headroom = _sign_bits(a)
        m, shift = _multiplier(node)
        right = bits + headroom - shift
        quotient = srdhm(srdhm(a << headroom, inverse), m)
        quotient = np.where((right > 31) | (a == 0), 0, rounding_divide_by_pot(quotient, np.clip(right, 0, 31)))
        return np.where(x[1].astype(np.int64) == node["b"].q.zp, infinite, np.clip(quotient + y.q.zp, low, high))

    def call(self, node: Node) -> Call:
        y = node["y"]
        if y.dtype is DType.FLOAT32:
            low_f, high_f = activation_range_float(self.act)
            return broadcast_call(node, {"act_min": low_f, "act_max": high_f}, "cf_binary_f32_params")
        m, shift = _multiplier(node)
        low, high = activation_range(self.act, y.dtype, y.q)
        zeros: Params = {"a_zero": node["a"].q.zp, "b_zero": node["b"].q.zp, "y_zero": y.q.zp}
        return broadcast_call(node, {**zeros, "m": m, "shift": shift, "act_min": low, "act_max": high})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        # below 64 TensorFlow Lite's last shift is too wide for some quotients: see _scaled_samples
        acts: tuple[Activation, ...] = ("none", "none", "none", "relu", "none", "relu6", "relu_n1_to_1")
        for i, (a_shape, b_shape) in enumerate(PAIRS):
            op = cls(acts[i % len(acts)])
            a, b = int8_type(rng, *a_shape), int8_type(rng, *b_shape)
            y = Quant.per_tensor(a.q.s / b.q.s / float(rng.uniform(64, 500)), int(rng.integers(-128, 128)))
            constant = _nonzero(rng.integers(-128, 128, (a_shape, b_shape)[i % 2], dtype=np.int8), (a, b)[i % 2].q.zp)
            yield make_node(op, {"a": a, "b": b}, (DType.INT8, y))
            mixed = {"a": (a, constant), "b": b} if i % 2 == 0 else {"a": a, "b": (b, constant)}
            yield make_node(op, mixed, (DType.INT8, y))
            yield make_node(op, {"a": float_type(*a_shape), "b": float_type(*b_shape)}, (DType.FLOAT32, None))
            divisor = rng.uniform(0.5, 4.0, b_shape).astype(np.float32)
            yield make_node(op, {"a": float_type(*a_shape), "b": divisor}, (DType.FLOAT32, None))
        yield from _scaled_samples(rng, cls())


def _scaled_samples(rng: np.random.Generator, op: Op) -> Iterator[Node]:
    """Quotients of which most are far outside of the output's range, or round to 0."""
    for scale in (1.0, 0.004, 30.0):
        a, b = int8_type(rng, 16, 31), int8_type(rng, 16, 31)
        yield make_node(op, {"a": a, "b": b}, (DType.INT8, Quant.per_tensor(a.q.s / b.q.s * scale, 3)))


def _nonzero(x: Array, zero_point: int) -> Array:
    return np.where(x == zero_point, np.int8(zero_point - 1 if zero_point > 0 else zero_point + 1), x)


def _sign_bits(x: Int) -> Int:
    """Bits below the sign that equal it, 32 bits; 0 for 0."""
    magnitude = np.where(x < 0, -x - 1, x)
    bits = np.where(magnitude == 0, 31, leading_zeros(np.maximum(magnitude, 1)) - 1)
    return np.where(x == 0, 0, bits)


def _multiplier(node: Node) -> tuple[int, int]:
    """Of the quotient, in double."""
    return quantize_multiplier(node["a"].q.s / (node["b"].q.s * node["y"].q.s))
