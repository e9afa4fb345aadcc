"""Convolution on cores with MVE: order of the weights, scratch, and when the kernel can be used.

The C side is runtime/kernels/cf_conv2d_s8_mve.h and runtime/include/cf_mve_dots.h.
"""

from __future__ import annotations

import numpy as np

from chipfit.fixedpoint import Int
from chipfit.graph import Array, Node
from chipfit.ops._activation import activation_range
from chipfit.ops._base import Call, Const, Port, Scratch
from chipfit.ops._channels import constant_operands
from chipfit.ops._conv_dsp import Shape
from chipfit.ops._conv_forms import conv_channels
from chipfit.ops._mve import requantization
from chipfit.ops._prepared import prepared
from chipfit.ops._traversal import Traversal, windows_traversal

VECTOR = 16


def conv_mve_reason(node: Node) -> bool | str:
    """True, or why the kernel cannot be used."""
    if node["x"].shape[3] != node["w"].shape[3]:
        return "it has groups"
    return constant_operands(node)


def conv_mve_call(node: Node) -> Call:
    """Arguments of ``cf_conv2d_s8_mve``."""
    shape = Shape.of(node)
    scale = prepared(node, "mve requantization", lambda: requantization(conv_channels(node)))
    low, high = activation_range(node.op.attributes()["act"], node["y"].dtype, node["y"].q)
    params: dict[str, int | float | tuple[int, ...]] = {
        **shape.params(),
        "out_c": node["y"].shape[3],
        "in_zero": node["x"].q.zp,
        "form": scale.form,
        "right": scale.right,
        "out_zero": node["y"].q.zp,
        "act_min": low,
        "act_max": high,
    }
    weights = prepared(node, "mve weights", lambda: by_vectors(conv_channels(node).w))
    constants = [Const("w", weights, "weights"), Const("table", scale.table, "weights")]
    windows = 0 if _is_direct(shape) else 2 * _filled(shape.taps) + VECTOR
    return Call([Port("x"), *constants, Port("y"), Scratch(windows)], params)


def conv_mve_traversal(node: Node, backward: bool) -> Traversal | None:
    """Pairs of pixels, across the ends of rows; where windows are read in place, once for each four channels."""
    return None if backward else windows_traversal(node, block=2, staged=not _is_direct(Shape.of(node)))


def by_vectors(w: Int) -> Array:
    """(out, taps) to int8, four to a word: for each four channels, for each vector of taps, that of each channel."""
    out, taps = w.shape
    filled = np.zeros((-(-out // 4) * 4, _filled(taps)), np.int8)
    filled[:out, :taps] = w
    return filled.reshape(-1, 4, filled.shape[1] // VECTOR, VECTOR).transpose(0, 2, 1, 3).reshape(-1).view(np.int32)


def _is_direct(shape: Shape) -> bool:
    """Whether each window is one run of bytes of the input."""
    return not shape.padded and shape.rows * shape.columns == 1


def _filled(size: int) -> int:
    return -(-size // VECTOR) * VECTOR
