"""POW."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import round_half_away
from chipfit.graph import Array, DType, Node, Quant
from chipfit.ops._base import (
    Call,
    Const,
    Kernel,
    Port,
    float_type,
    for_types,
    int8_type,
    int16_type,
    make_node,
    register,
)
from chipfit.ops._broadcast import PAIRS, Binary, broadcast_call
from chipfit.ops._lookup import scalar_lookup_kernel
from chipfit.ops._steps import elements_in_order
from chipfit.ops._table16 import interpolate, interpolation_table
from chipfit.ops._types import require_one_type


def _real(x: Array, quant: Quant) -> Array:
    return np.float32(quant.s) * (x.astype(np.int32) - quant.zp).astype(np.float32)


def _power(a: Array, b: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.power(a.astype(np.float64), b.astype(np.float64)).astype(np.float32)


def _defined(x: Array) -> Array:
    return np.where(np.isnan(x), np.float32(0), x)


def _table(node: Node) -> Array:
    """The power of every 128th int16 number."""
    a, b, y = node["a"], node["b"], node["y"]
    x, constant = (a, b) if b.is_const else (b, a)
    number = _real(constant.array.reshape(-1)[:1], constant.q)
    scale, out_scale = np.float32(x.q.s), np.float32(y.q.s)
    if x is a:
        return interpolation_table(lambda v: _defined(_power(v, number)), scale, 0, out_scale)
    return interpolation_table(lambda v: _defined(_power(number, v)), scale, 0, out_scale)


def _wide_call(node: Node) -> Call:
    port = "a" if node["b"].is_const else "b"
    return Call([Port(port), Const("table", _table(node)), Port("y")], {"n": node["y"].type.size})


_REAL = (DType.INT8, DType.INT16)


@register
@dataclass(frozen=True)
class Pow(Binary):
    """y = a to the power of b, with numpy's broadcasting. float32; int8 and int16 where one side is a constant number.

    Source: TFLite POW. The integer forms are chipfit's own (TensorFlow Lite has none): int8 as a table of all results,
    rounded half away from zero, int16 interpolated in a table of 513 numbers. On integers, what is not a real number is
    0, and what is infinite the bound of its sign.
    """

    name: ClassVar[str] = "pow"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        scalar_lookup_kernel(),
        Kernel("cf_lookup_s16", for_types("int16"), call=_wide_call, traversal=elements_in_order),
        Kernel("cf_pow_f32", for_types("float32"), traversal=elements_in_order),
    )

    def check(self, node: Node) -> None:
        require_one_type(node, DType.INT8, DType.INT16, DType.FLOAT32)
        constants = [v for v in (node["a"], node["b"]) if v.is_const and v.type.size == 1]
        if node["y"].dtype in _REAL and len(constants) != 1:
            raise ChipfitError(
                "O002",
                f"pow '{node.name}' of '{node['a'].name}' ({node['a'].type}) and '{node['b'].name}' ({node['b'].type})"
                ": on integers one of them, and no more, must be a constant number",
                "leave this operator in float32, or use exp and log",
            )

    def eval_float(self, node: Node, *x: Array) -> Array:
        return _power(x[0], x[1])

    def eval_int(self, node: Node, *x: Array) -> Array:
        y = node["y"]
        if y.dtype is DType.INT16:
            return interpolate(_table(node), x[0] if node["b"].is_const else x[1])
        real = [_real(elements, node[port].q) for elements, port in zip(x, ("a", "b"), strict=True)]
        low, high = (np.float32(bound - y.q.zp) for bound in y.dtype.range)
        steps = np.clip(_defined(_power(*real)) * (np.float32(1) / np.float32(y.q.s)), low - 1, high + 1)
        return np.clip(round_half_away(steps) + np.float32(y.q.zp), -128, 127).astype(np.int64)

    def call(self, node: Node) -> Call:
        return broadcast_call(node, {}, "cf_broadcast_params")

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for a_shape, b_shape in PAIRS:
            base = rng.uniform(0.2, 3.0, a_shape).astype(np.float32)
            yield make_node(cls(), {"a": base, "b": float_type(*b_shape)}, (DType.FLOAT32, None))
            yield make_node(cls(), {"a": float_type(*a_shape), "b": float_type(*b_shape)}, (DType.FLOAT32, None))
        for power in (2.0, 3.0, 0.5, -1.0, 0.0, 1.7):
            exponent = np.array([power], np.float32)
            yield make_node(cls(), {"a": float_type(2, 3, 5), "b": exponent}, (DType.FLOAT32, None))
            for make in (int8_type, int16_type):
                b = make(rng, 1, scale=max(0.01, abs(power) / 100))
                stored = np.array([round(power / b.q.s) + b.q.zp]).clip(*b.dtype.range).astype(b.dtype.numpy)
                a = make(rng, 2, 3, 37)
                zero = int(rng.integers(-128, 128)) if make is int8_type else 0
                y = Quant.per_tensor(a.q.s * float(rng.uniform(0.4, 1.6)), zero)
                yield make_node(cls(), {"a": a, "b": (b, stored)}, (a.dtype, y))
                yield make_node(cls(), {"a": (b, stored), "b": a}, (a.dtype, y))
