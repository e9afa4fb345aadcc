"""Operators that are a function of real numbers, element by element, with no integer arithmetic of their own."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from chipfit.fixedpoint import round_half_away
from chipfit.graph import Array, DType, Node
from chipfit.ops._base import Call, Kernel, for_types, op_of
from chipfit.ops._lookup import lookup_kernel
from chipfit.ops._steps import elements_in_order
from chipfit.ops._table16 import interpolate, interpolation_table, table_call
from chipfit.ops._unary import Unary


class Curve(Unary):
    """Base. int8: the function of each of the 256 real inputs in float32, divided by the scale and rounded, halves away
    from zero; at compile time. int16: interpolated in a table of 513 numbers. A result beyond the type is its bound.

    Source: TFLite ``LUTPopulate``, with which LiteRT makes its int8 and int16 forms.
    """

    @abstractmethod
    def function(self, x: Array) -> Array:
        """float32 to float32."""

    def bounded(self, node: Node, x: Array) -> Array:
        """The function for the integer forms, which have no NaN."""
        return self.function(x)

    def eval_float(self, node: Node, *x: Array) -> Array:
        with np.errstate(all="ignore"):
            return self.function(x[0].astype(np.float32))

    def eval_int(self, node: Node, *x: Array) -> Array:
        if node["y"].dtype is DType.INT16:
            return interpolate(self.table(node), x[0])
        vx, vy = node["x"].q, node["y"].q
        real = np.float32(vx.s) * (x[0].astype(np.int32) - vx.zp).astype(np.float32)
        with np.errstate(all="ignore"):
            steps = round_half_away(self.bounded(node, real) * (np.float32(1) / np.float32(vy.s)))
        return np.clip(steps.astype(np.float32) + np.float32(vy.zp), -128, 127).astype(np.int64)

    def table(self, node: Node) -> Array:
        """What the int16 form interpolates in."""
        scale, out_scale = np.float32(node["x"].q.s), np.float32(node["y"].q.s)
        return interpolation_table(lambda x: self.bounded(node, x), scale, 0, out_scale)


def curve_kernels(name: str) -> tuple[Kernel, ...]:
    """int8, int16 and float32."""
    wide = Kernel("cf_lookup_s16", for_types("int16"), call=_wide_call, traversal=elements_in_order)
    return (lookup_kernel(), wide, float_kernel(name))


def step_kernels(name: str) -> tuple[Kernel, ...]:
    """int8 and float32: functions with jumps, which cannot be interpolated."""
    return (lookup_kernel(), float_kernel(name))


def float_kernel(name: str) -> Kernel:
    return Kernel(f"cf_{name}_f32", for_types("float32"), traversal=elements_in_order)


def _wide_call(node: Node) -> Call:
    op = op_of(node)
    if not isinstance(op, Curve):
        raise TypeError(f"{node} is no curve")
    return table_call(node, op.table(node))
