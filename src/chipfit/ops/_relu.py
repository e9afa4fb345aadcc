"""What the operators RELU, RELU6 and RELU_N1_TO_1 share."""

from __future__ import annotations

import numpy as np

from chipfit.fixedpoint import Int, quantize_multiplier, requantize
from chipfit.graph import Array, Node
from chipfit.ops._activation import Activation, activation_range, activation_range_float
from chipfit.ops._base import Call, Port


def rescale_and_clamp(node: Node, x: Array, act: Activation, multiplier: float) -> Int:
    """int8 from the input's to the output's quantization, clamped.

    Source: TFLite ``ReluPrepare`` and ``ReluX``.
    """
    x_quant, y_quant = node["x"].q, node["y"].q
    m, shift = quantize_multiplier(multiplier)
    low, high = activation_range(act, node["y"].dtype, y_quant)
    return requantize(x.astype(np.int64) - x_quant.zp, m, shift, y_quant.zp, low, high)


def float32_quotient(node: Node) -> float:
    """The multiplier of LiteRT: scales divided in float32."""
    return float(np.float32(node["x"].q.s) / np.float32(node["y"].q.s))


def clamp_call(node: Node, act: Activation) -> Call:
    """The call of ``cf_clamp_f32``."""
    low, high = activation_range_float(act)
    return Call([Port("x"), Port("y")], {"n": node["y"].type.size, "act_min": low, "act_max": high})
