"""Calls and traversals of the kernels on int16 for cores with DSP instructions."""

from __future__ import annotations

from math import prod

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Call, Const, Function, Kernel, Port, Scratch, for_types
from chipfit.ops._conv_dense import as_dense
from chipfit.ops._prepared import prepared
from chipfit.ops._steps import channels_in_order, pixels_in_order, rows_in_order
from chipfit.ops._sums_s16 import as_words, joined, layer_fields, rows_stream, sums_of_layer, sums_reason
from chipfit.ops._traversal import Traversal, windows_traversal

Fields = dict[str, int | float | tuple[int, ...]]

_POINTER_BYTES = 8  # on the host; 4 on the cores


# ---------------------------------------------------------------------------------------------- conv2d


def conv_s16_reason(node: Node) -> bool | str:
    """True, or why ``cf_conv2d_s16_dsp`` cannot be used for a convolution."""
    if node["x"].shape[3] != node["w"].shape[3]:
        return "it has groups"
    return sums_reason(node)


def conv_s16_call(node: Node) -> Call:
    """Arguments of ``cf_conv2d_s16_dsp`` for a convolution."""
    x, w, y, direct = node["x"], node["w"], node["y"], _is_direct(node)
    fields = _window_fields(node)
    if direct:
        pixels = prod(x.shape[:3])
        fields |= {"n": 1, "in_h": 1, "in_w": pixels, "out_h": 1, "out_w": pixels}
    else:
        fields |= {"n": x.shape[0], "in_h": x.shape[1], "in_w": x.shape[2], "out_h": y.shape[1], "out_w": y.shape[2]}
    return _pixels_call(node, {**fields, "in_c": x.shape[3], "direct": int(direct)}, prod(w.shape[1:]))


def conv_s16_traversal(node: Node, backward: bool) -> Traversal | None:
    """Pairs of pixels, across the ends of rows; their windows are copied first unless they lie side by side."""
    return None if backward else windows_traversal(node, block=2, staged=not _is_direct(node))


def _is_direct(node: Node) -> bool:
    a, w = node.op.attributes(), node["w"]
    return w.shape[1:3] == a["stride"] == (1, 1) and not any(a["pad"]) and w.shape[3] % 4 == 0


def _pixels_call(node: Node, fields: Fields, columns: int) -> Call:
    """Two pixels (or rows) at a time with two channels."""
    sums, fours = sums_of_layer(node, 0), -(-columns // 4)
    params = {**fields, "layer": layer_fields(node, sums, fours)}
    body = Function("cf_s16_pixels_narrow" if sums.is_narrow else "cf_s16_pixels_wide")
    scratch = Scratch(0 if fields["direct"] else 2 * 8 * fours)
    args = [Port("x"), Const("w", rows_stream(node, sums, 2), "weights"), scratch, Port("y"), body]
    return Call(args, params, "cf_conv2d_s16_dsp_params")


# ---------------------------------------------------------------------------------------------- fully connected


def dense_s16_reason(node: Node) -> bool | str:
    """True, or why ``cf_fully_connected_s16_dsp`` cannot be used for a fully connected layer."""
    return sums_reason(node)


def dense_s16_call(node: Node) -> Call:
    """Arguments of ``cf_fully_connected_s16_dsp``."""
    out, columns = node["w"].shape
    sums, fours, copies = sums_of_layer(node, 0), -(-columns // 4), columns % 4 != 0
    params: Fields = {
        "rows": node["y"].type.size // out,
        "in": columns,
        "copies": int(copies),
        "layer": layer_fields(node, sums, fours),
    }
    body = Function("cf_s16_row_narrow" if sums.is_narrow else "cf_s16_row_wide")
    scratch = Scratch(8 * fours if copies else 0)
    args = [Port("x"), Const("w", rows_stream(node, sums, 4), "weights"), scratch, Port("y"), body]
    return Call(args, params, "cf_fully_connected_s16_dsp_params")


def dense_s16_traversal(node: Node, backward: bool) -> Traversal | None:
    """Rows in order, copied first where they are filled up."""
    return None if backward else rows_in_order(node, staged=node["w"].type.size // node["w"].shape[0] % 4 != 0)


def dense_s16_pixels_reason(node: Node) -> bool | str:
    """True, or why ``cf_conv2d_s16_dsp`` cannot be used for a fully connected layer: two rows at a time."""
    if node["y"].type.size // node["w"].shape[0] < 2:
        return "it has one row"
    return sums_reason(node) if node["w"].shape[1] % 4 == 0 else "its rows are no whole fours"


def dense_s16_pixels_call(node: Node) -> Call:
    """Arguments of ``cf_conv2d_s16_dsp`` for a fully connected layer."""
    out, columns = node["w"].shape
    rows = node["y"].type.size // out
    ones = dict.fromkeys(("n", "in_h", "out_h", "kernel_h", "kernel_w"), 1)
    ones |= dict.fromkeys(("stride_h", "stride_w", "dilation_h", "dilation_w"), 1)
    fields: Fields = {**ones, "pad_top": 0, "pad_left": 0, "in_w": rows, "out_w": rows, "in_c": columns, "direct": 1}
    return _pixels_call(node, fields, columns)


def dense_s16_pixels_traversal(node: Node, backward: bool) -> Traversal | None:
    """Two rows at a time, read again for every two outputs."""
    if backward:
        return None
    x, y = node["x"].type, node["y"].type
    rows = y.size // node["w"].shape[0]
    begin = np.arange(0, rows, 2, dtype=np.int64)
    end = np.minimum(begin + 2, rows)
    read, written = x.nbytes // rows, y.nbytes // rows
    return Traversal({"x": (begin * read, end * read)}, (begin * written, end * written))


def conv_dense_s16_reason(node: Node) -> bool | str:
    """True, or why ``cf_fully_connected_s16_dsp`` cannot be used for a convolution."""
    x, w, y = node["x"], node["w"], node["y"]
    if prod(y.shape[:3]) != 1:
        return "it has more than one output pixel"
    if x.shape[1:] != w.shape[1:] or any(node.op.attributes()["pad"]):
        return "its window is not the whole input"
    return sums_reason(node)


def conv_dense_s16_call(node: Node) -> Call:
    """Arguments of ``cf_fully_connected_s16_dsp`` for a convolution with one output pixel."""
    return dense_s16_call(as_dense(node))


# ---------------------------------------------------------------------------------------------- depthwise


def depthwise_s16_reason(node: Node) -> bool | str:
    """True, or why ``cf_depthwise_conv2d_s16_dsp`` cannot be used."""
    x, w = node["x"], node["w"]
    if x.shape[0] != 1:
        return "it works on a batch of images"
    if w.shape[3] != x.shape[3]:
        return "an input channel has several output channels"
    if x.shape[3] < 2:
        return "it has one channel"
    reason = sums_reason(node)
    if reason is not True:
        return reason
    narrow = sums_of_layer(node, 3).narrow
    return narrow if isinstance(narrow, str) else True


def depthwise_s16_call(node: Node) -> Call:
    """Arguments of ``cf_depthwise_conv2d_s16_dsp``."""
    x, y = node["x"], node["y"]
    sums, padded = sums_of_layer(node, 3), any(node.op.attributes()["pad"])
    channels, taps = sums.w.shape

    def stream() -> Array:
        firsts = [0, *range((channels - 1) % 2 + 1, channels, 2)]  # of an odd number the first two overlap
        pairs = np.array(firsts)[:, None] + np.arange(2)
        w = np.zeros((channels, taps + taps % 2), np.int64)
        w[:, :taps] = sums.w
        # as if the two channels of a tap were neighbouring inputs
        fours = w[pairs].transpose(0, 2, 1).reshape(len(pairs), -1, 4)
        before, after = sums.tables()
        return joined([before[pairs], as_words(fours), after[pairs]])

    params: Fields = {
        "in_h": x.shape[1],
        "in_w": x.shape[2],
        "out_h": y.shape[1],
        "out_w": y.shape[2],
        **_window_fields(node),
        "padded": int(padded),
        "layer": layer_fields(node, sums, taps),
    }
    weights = Const("w", prepared(node, "stream of int16", stream), "weights")
    table, outside = Scratch(2 * 2 * _POINTER_BYTES * taps), Scratch(2 * channels if padded else 0)
    return Call([Port("x"), weights, table, outside, Port("y")], params)


def depthwise_s16_traversal(node: Node, backward: bool) -> Traversal | None:
    """Two pixels at a time, and in them two channels after the other, where channels are whole pairs."""
    if backward:
        return None
    y = node["y"]
    steps = windows_traversal(node, block=2, staged=False)
    if steps is None or y.shape[3] % 2:
        return steps
    return Traversal(steps.reads, steps.writes, lane=y.shape[3] * y.dtype.bytes)


def _window_fields(node: Node) -> Fields:
    """Window, steps and padding."""
    w, a = node["w"], node.op.attributes()
    return {
        "kernel_h": w.shape[1],
        "kernel_w": w.shape[2],
        "stride_h": a["stride"][0],
        "stride_w": a["stride"][1],
        "dilation_h": a["dilation"][0],
        "dilation_w": a["dilation"][1],
        "pad_top": a["pad"][0],
        "pad_left": a["pad"][1],
    }


# ---------------------------------------------------------------------------------------------- kernels

_DSP = frozenset({"dsp"})

CONV_KERNELS_S16 = (
    Kernel(
        "cf_fully_connected_s16_dsp",
        for_types("int16"),
        _DSP,
        conv_dense_s16_reason,
        conv_dense_s16_call,
        traversal=dense_s16_traversal,
    ),
    Kernel(
        "cf_conv2d_s16_dsp",
        for_types("int16"),
        _DSP,
        conv_s16_reason,
        conv_s16_call,
        traversal=conv_s16_traversal,
    ),
    Kernel("cf_conv2d_s16", for_types("int16"), traversal=pixels_in_order),
)
"""Of CONV_2D."""

DEPTHWISE_KERNELS_S16 = (
    Kernel(
        "cf_depthwise_conv2d_s16_dsp",
        for_types("int16"),
        _DSP,
        depthwise_s16_reason,
        depthwise_s16_call,
        traversal=depthwise_s16_traversal,
    ),
    Kernel("cf_depthwise_conv2d_s16", for_types("int16"), traversal=channels_in_order),
)
"""Of DEPTHWISE_CONV_2D."""


def _rows(node: Node, backward: bool) -> Traversal | None:
    return None if backward else rows_in_order(node, staged=False)


DENSE_KERNELS_S16 = (
    Kernel(
        "cf_conv2d_s16_dsp",
        for_types("int16"),
        _DSP,
        dense_s16_pixels_reason,
        dense_s16_pixels_call,
        traversal=dense_s16_pixels_traversal,
    ),
    Kernel(
        "cf_fully_connected_s16_dsp",
        for_types("int16"),
        _DSP,
        dense_s16_reason,
        dense_s16_call,
        traversal=dense_s16_traversal,
    ),
    Kernel("cf_fully_connected_s16", for_types("int16"), traversal=_rows),
)
"""Of FULLY_CONNECTED."""
