"""What ADD and SUB share: everything but a sign."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import quantize_multiplier
from chipfit.graph import Array, DType, Node
from chipfit.ops._activation import Activation, activation_float, activation_range, activation_range_float
from chipfit.ops._add_integers import LEFT_SHIFT, Rescale, find_two_products
from chipfit.ops._base import Call, Kernel, for_types
from chipfit.ops._broadcast import Binary, Params, broadcast_call
from chipfit.ops._int32 import activation_range_int32, clamp_int32
from chipfit.ops._lookup import scalar_lookup_kernel
from chipfit.ops._steps import elements_in_order
from chipfit.ops._types import require_one_type


class AddLike(Binary):
    """Base of ADD and SUB."""

    sign: ClassVar[int]

    @property
    @abstractmethod
    def activation(self) -> Activation: ...

    def rescale(self, node: Node) -> Rescale:
        a, b, y = node["a"].q, node["b"].q, node["y"].q
        dtype = node["y"].dtype
        to_a, to_b, to_y = _multipliers(node)
        low, high = activation_range(self.activation, dtype, y)
        return Rescale(
            a=quantize_multiplier(to_a),
            b=quantize_multiplier(to_b),
            y=quantize_multiplier(to_y),
            a_zero=a.zp,
            b_zero=b.zp,
            y_zero=y.zp,
            low=low,
            high=high,
            sign=self.sign,
            left_shift=LEFT_SHIFT[dtype],
        )

    def check(self, node: Node) -> None:
        require_one_type(node, DType.INT8, DType.INT16, DType.FLOAT32, DType.INT32)
        if node["y"].dtype in LEFT_SHIFT and _multipliers(node)[2] >= 1.0:
            a, b, y = node["a"].q, node["b"].q, node["y"].q
            raise ChipfitError(
                "O002",
                f"{self.name} '{node.name}': the output's scale {y.s:g} is too small for those of the operands "
                f"({a.s:g}, {b.s:g}): less than their double by 2**-{LEFT_SHIFT[node['y'].dtype]}, "
                "which TensorFlow Lite does not accept either",
                "the output's range was calibrated wrongly",
            )

    def eval_float(self, node: Node, *x: Array) -> Array:
        return activation_float(self.activation, x[0] + x[1] if self.sign > 0 else x[0] - x[1])

    def eval_int(self, node: Node, *x: Array) -> Array:
        if node["y"].dtype is DType.INT32:
            return clamp_int32(self.activation, x[0].astype("int64") + self.sign * x[1].astype("int64"))
        return self.rescale(node).result(x[0], x[1])

    def call(self, node: Node) -> Call:
        if node["y"].dtype is DType.INT32:
            low, high = activation_range_int32(self.activation)
            return broadcast_call(node, {"act_min": low, "act_max": high}, "cf_binary_s32_params")
        low_f, high_f = activation_range_float(self.activation)
        return broadcast_call(node, {"act_min": low_f, "act_max": high_f}, "cf_binary_f32_params")


def _multipliers(node: Node) -> tuple[float, float, float]:
    """Of the two operands and of the result, from the three scales; in double.

    Source: TFLite Micro ``CalculateOpDataAdd`` and ``CalculateOpDataSub``.
    """
    a, b, y = node["a"].q.s, node["b"].q.s, node["y"].q.s
    twice = 2 * max(a, b)
    return a / twice, b / twice, twice / ((1 << LEFT_SHIFT[node["y"].dtype]) * y)


def _rescale(node: Node) -> Rescale:
    if not isinstance(node.op, AddLike):
        raise TypeError(f"{node} is neither an addition nor a subtraction")
    return node.op.rescale(node)


def _has_two_products(node: Node) -> bool | str:
    if find_two_products(_rescale(node)) is None:
        return "no pair of 32-bit multipliers gives every one of the 65,536 results"
    return True


def _call_two_products(node: Node) -> Call:
    r = _rescale(node)
    form = find_two_products(r)
    if form is None:
        raise ValueError(f"{node} has no form of two products")
    params: Params = {
        "a_mul": form.a_mul,
        "b_mul": form.b_mul,
        "zero": form.zero,
        "constant": form.constant,
        "shift": form.shift,
        "away": int(form.away),
        "act_min": r.low,
        "act_max": r.high,
    }
    return broadcast_call(node, params)


def _call_rescale(node: Node) -> Call:
    r = _rescale(node)
    zeros = {"a_zero": r.a_zero, "b_zero": r.b_zero, "y_zero": r.y_zero}
    return broadcast_call(node, {**zeros, **_multiplier_params(r)})


def _call_int16(node: Node) -> Call:
    return broadcast_call(node, _multiplier_params(_rescale(node)))


def _multiplier_params(r: Rescale) -> Params:
    return {
        "a_m": r.a[0],
        "a_shift": r.a[1],
        "b_m": r.b[0],
        "b_shift": r.b[1],
        "b_sign": r.sign,
        "y_m": r.y[0],
        "y_shift": r.y[1],
        "act_min": r.low,
        "act_max": r.high,
    }


#: the preferred one first
ADD_KERNELS = (
    scalar_lookup_kernel(),
    Kernel(
        "cf_add_s8", for_types("int8"), when=_has_two_products, call=_call_two_products, traversal=elements_in_order
    ),
    Kernel("cf_add_s8_rescale", for_types("int8"), call=_call_rescale, traversal=elements_in_order),
    Kernel("cf_add_s16", for_types("int16"), call=_call_int16, traversal=elements_in_order),
)
