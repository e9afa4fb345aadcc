"""Layers of weighted sums on an AVR: products of bytes, numbers of 16 bits (runtime/include/cf_dot_flash.h)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chipfit.fixedpoint import INT32_MAX
from chipfit.graph import Array, DType, Node, Value
from chipfit.ops._activation import activation_range
from chipfit.ops._base import Arg, Call, Const, Kernel, Port, for_types
from chipfit.ops._channels import constant_operands
from chipfit.ops._dense import dense_multipliers, dense_range
from chipfit.ops._steps import channels_in_order, pixels_in_order
from chipfit.ops._traversal import Traversal
from chipfit.ops._window import output_multipliers

if TYPE_CHECKING:
    from collections.abc import Callable

    from chipfit.ops.conv2d import Conv2D
    from chipfit.ops.depthwise_conv2d import DepthwiseConv2D

_NEEDS = frozenset({"avr"})
_LONGEST = (1 << 15) - 1
"""Offsets and counts have 16 bits with a sign."""

_MOST_TAPS = 256
"""Of one row of a window: 256 weights of -128 sum up to -2^15."""


def dense_kernel(traversal: Callable[[Node, bool], Traversal | None]) -> Kernel:
    """FULLY_CONNECTED."""
    return Kernel(
        "cf_fully_connected_s8_avr",
        for_types("int8"),
        _NEEDS,
        lambda node: _reason(node, node["w"].array if node["w"].is_const else None),
        _dense_call,
        traversal=traversal,
    )


def conv_kernel() -> Kernel:
    """CONV_2D."""
    return Kernel("cf_conv2d_s8_avr", for_types("int8"), _NEEDS, _conv_reason, _conv_call, traversal=pixels_in_order)


def depthwise_kernel() -> Kernel:
    """DEPTHWISE_CONV_2D."""
    return Kernel(
        "cf_depthwise_conv2d_s8_avr",
        for_types("int8"),
        _NEEDS,
        _depthwise_reason,
        _depthwise_call,
        traversal=channels_in_order,
    )


def _conv_reason(node: Node) -> bool | str:
    if node["x"].shape[3] != node["w"].shape[3]:
        return "groups"
    if node["w"].shape[2] * node["w"].shape[3] > _MOST_TAPS:
        return f"a row of a window has more than {_MOST_TAPS} taps"
    return _window_reason(node, _by_output)


def _depthwise_reason(node: Node) -> bool | str:
    if node["w"].shape[2] >= _MOST_TAPS:
        return f"a row of a window has {_MOST_TAPS} taps or more"
    return _window_reason(node, _by_channel)


def _window_reason(node: Node, rows: Callable[[Value], Array]) -> bool | str:
    op: Conv2D | DepthwiseConv2D = node.op  # type: ignore[assignment]
    if op.dilation != (1, 1):
        return "dilation"
    return _reason(node, rows(node["w"]) if node["w"].is_const else None)


def _reason(node: Node, w: Array | None) -> bool | str:
    """True, or why not. ``w``: (out, taps), if it is constant."""
    reason = constant_operands(node)
    if reason is not True or w is None:
        return reason
    if max(node["x"].type.size, node["y"].type.size, w.size) > _LONGEST:
        return f"a tensor has more than {_LONGEST:,} elements"
    if node["x"].dtype is not DType.INT8 or node["w"].dtype is not DType.INT8:
        return "its inputs and weights are not int8"
    share = node["x"].q.zp * w.astype(np.int64).sum(axis=1)
    sums = 2 * np.abs(share) + np.abs(_bias(node)) + 128 * np.abs(w.astype(np.int64)).sum(axis=1)
    return bool(sums.max() <= INT32_MAX) or "a sum could leave 32 bits"


def _bias(node: Node) -> Array:
    b = node.get("b")
    return np.zeros(1, np.int64) if b is None else b.array.astype(np.int64)


def _biases(node: Node, w: Array) -> tuple[Array, Array]:
    """The bias of each output with the share of the input's zero point, and without it."""
    plain = np.broadcast_to(_bias(node), len(w))
    return (plain - node["x"].q.zp * w.astype(np.int64).sum(axis=1)).astype(np.int32), plain.astype(np.int32)


def _dense_call(node: Node) -> Call:
    y, w = node["y"], node["w"]
    out, columns = w.shape
    m, shift = dense_multipliers(node)
    low, high = dense_range(node)
    folded, _ = _biases(node, w.array)
    args = [
        Port("x"),
        Port("w"),
        Const("b", folded, "weights"),
        Const("m", m, "weights"),
        Const("shift", shift, "weights"),
        Port("y"),
    ]
    shape = {"rows": y.type.size // out, "in": columns, "out": out, "per_output": int(len(m) > 1)}
    return Call(args, {**shape, "out_zero": y.q.zp, "act_min": low, "act_max": high})


def _by_output(w: Value) -> Array:
    """(out, kh, kw, in) as (out, taps)."""
    return w.array.reshape(w.shape[0], -1)


def _by_channel(w: Value) -> Array:
    """(1, kh, kw, out) as (out, taps)."""
    return np.ascontiguousarray(w.array.reshape(-1, w.shape[3]).T)


def _conv_call(node: Node) -> Call:
    return _window_call(node, Port("w"), _by_output(node["w"]))


def _depthwise_call(node: Node) -> Call:
    rows = _by_channel(node["w"])
    return _window_call(node, Const("w", rows, "weights"), rows)


def _window_call(node: Node, weights: Arg, w: Array) -> Call:
    op: Conv2D | DepthwiseConv2D = node.op  # type: ignore[assignment]
    x, y = node["x"], node["y"]
    m, shift = output_multipliers(x, node["w"], y, len(w))
    low, high = activation_range(op.act, y.dtype, y.q)
    folded, plain = _biases(node, w)
    args = [
        Port("x"),
        weights,
        Const("b", folded, "weights"),
        Const("plain", plain if any(op.pad) else folded, "weights"),
        Const("m", m, "weights"),
        Const("shift", shift.astype(np.int8), "weights"),
        Port("y"),
    ]
    params: dict[str, int | float | tuple[int, ...]] = {
        "n": x.shape[0],
        "in_h": x.shape[1],
        "in_w": x.shape[2],
        "in_c": x.shape[3],
        "out_h": y.shape[1],
        "out_w": y.shape[2],
        "out_c": y.shape[3],
        "kernel_h": node["w"].shape[1],
        "kernel_w": node["w"].shape[2],
        "stride_h": op.stride[0],
        "stride_w": op.stride[1],
        "pad_top": op.pad[0],
        "pad_left": op.pad[1],
        "in_zero": x.q.zp,
        "out_zero": y.q.zp,
        "act_min": low,
        "act_max": high,
    }
    return Call(args, params, "cf_conv2d_s8_avr_params")
