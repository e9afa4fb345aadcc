"""What the operators RELU, RELU6 and RELU_N1_TO_1 share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chipfit.fixedpoint import Int, quantize_multiplier, requantize
from chipfit.graph import Array, DType, Node
from chipfit.ops._activation import Activation, activation_range, activation_range_float
from chipfit.ops._base import Call, Kernel, Port, for_types
from chipfit.ops._element import CODES
from chipfit.ops._steps import elements_in_order


def rescale_and_clamp(node: Node, x: Array, act: Activation, multiplier: float) -> Int:
    """int8 or int16 from the input's to the output's quantization, clamped.

    Source: TFLite ``ReluPrepare`` and ``ReluX``.
    """
    x_quant, y_quant = node["x"].q, node["y"].q
    m, shift = quantize_multiplier(multiplier)
    low, high = activation_range(act, node["y"].dtype, y_quant)
    return requantize(x.astype(np.int64) - x_quant.zp, m, shift, y_quant.zp, low, high)


def float32_quotient(node: Node) -> float:
    """The multiplier of LiteRT: scales divided in float32."""
    return float(np.float32(node["x"].q.s) / np.float32(node["y"].q.s))


def rescale_call(node: Node, act: Activation, multiplier: float) -> Call:
    """The call of ``cf_requantize`` that is :func:`rescale_and_clamp` on int16."""
    y = node["y"]
    m, shift = quantize_multiplier(multiplier)
    low, high = activation_range(act, y.dtype, y.q)
    types = {"x_type": CODES[DType.INT16], "y_type": CODES[DType.INT16], "x_zero": 0, "y_zero": 0}
    params = {"n": y.type.size, **types, "m": m, "shift": shift, "y_min": low, "y_max": high}
    return Call([Port("x"), Port("y")], params)


def rescale_kernel(act: Activation, multiplier: Callable[[Node], float]) -> Kernel:
    """int16: ``multiplier`` is the quotient of the scales."""

    def call(node: Node) -> Call:
        return rescale_call(node, act, multiplier(node))

    return Kernel("cf_requantize", for_types("int16"), call=call, traversal=elements_in_order)


def double_quotient(node: Node) -> float:
    """The multiplier of TFLite Micro: scales divided in double."""
    return node["x"].q.s / node["y"].q.s


def clamp_call(node: Node, act: Activation) -> Call:
    """The call of ``cf_clamp_f32``."""
    low, high = activation_range_float(act)
    return Call([Port("x"), Port("y")], {"n": node["y"].type.size, "act_min": low, "act_max": high})
