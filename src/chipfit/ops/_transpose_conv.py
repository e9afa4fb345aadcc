"""Transposed convolutions: their sums in numpy, and the convolutions of stride 1 of which they consist.

Output pixels whose distance is the stride, along rows and along columns, see the same taps: they are a *phase*. A phase
is a convolution of stride 1 with every stride-th tap of the kernel, in reverse order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from chipfit.graph import Array, Node, TensorType, Value
from chipfit.ops._base import Call, Const, Port, Scratch
from chipfit.ops._channels import constant_operands
from chipfit.ops._conv_dsp import conv_dsp_reason, conv_phase_call
from chipfit.ops._conv_scalar import conv_scalar_call
from chipfit.ops._prepared import prepared
from chipfit.ops._steps import STRIP


def transposed_sums(node: Node, x: Array, w: Array) -> Array:
    """Weighted sums without bias, (n, out_h, out_w, out), in the element type of x and w. n is that of ``x``."""
    (top, left, _, _), (stride_h, stride_w) = node.op.attributes()["pad"], node.op.attributes()["stride"]
    n, h, width, _ = x.shape
    out, kh, kw, _ = w.shape
    _, oh, ow, _ = node["y"].shape
    rows, columns = (h - 1) * stride_h + 1, (width - 1) * stride_w + 1
    whole = np.zeros((n, max(rows + kh - 1, top + oh), max(columns + kw - 1, left + ow), out), x.dtype)
    for i in range(kh):
        for j in range(kw):
            whole[:, i : i + rows : stride_h, j : j + columns : stride_w] += x @ w[:, i, j].T
    return whole[:, top : top + oh, left : left + ow]


def transposed_windows(node: Node, x: Array, fill: float) -> Array:
    """What every output is a sum over, as a view (n, out_h, out_w, kh, kw, in): taps as in the weights.

    ``fill`` stands where no x lies: beyond the borders, and between neighbours that lie ``stride`` apart.
    """
    (top, left, _, _), (stride_h, stride_w) = node.op.attributes()["pad"], node.op.attributes()["stride"]
    n, h, width, channels = x.shape
    _, kh, kw, _ = node["w"].shape
    _, oh, ow, _ = node["y"].shape
    rows, columns = (h - 1) * stride_h + 1, (width - 1) * stride_w + 1
    before_h, before_w = kh - 1, kw - 1
    spread = np.full(
        (n, max(rows, top + oh) + 2 * before_h, max(columns, left + ow) + 2 * before_w, channels), fill, x.dtype
    )
    spread[:, before_h : before_h + rows : stride_h, before_w : before_w + columns : stride_w] = x
    view = np.lib.stride_tricks.sliding_window_view(spread, (kh, kw), axis=(1, 2))
    view = view[:, top : top + oh, left : left + ow, :, ::-1, ::-1]
    return view.transpose(0, 1, 2, 4, 5, 3)


# ---------------------------------------------------------------------------------------------- phases


@dataclass(frozen=True)
class _Line:
    """A phase along one axis: outputs ``first``, ``first + stride`` ..., ``count`` of them; which taps they see, in
    the order of x, and how many x the first output's window begins before the first x."""

    first: int
    count: int
    taps: slice
    pad: int


def _lines(size: int, stride: int, kernel: int, cut: int) -> Iterator[_Line]:
    """``size``: outputs; ``cut``: sums before the first of them."""
    for first in range(min(stride, size)):
        start, offset = divmod(first + cut, stride)
        taps = len(range(offset, kernel, stride))
        yield _Line(first, len(range(first, size, stride)), slice(offset, None, stride), taps - 1 - start)


@dataclass(frozen=True)
class Phase:
    """``node``: a CONV_2D that computes it; ``first``: its first output pixel, (row, column)."""

    node: Node
    first: tuple[int, int]


def phases_of(node: Node) -> list[Phase]:
    """The phases of a node with constant weights, row by row. Made once for all that ask."""
    a = node.op.attributes()
    return prepared(node, ("phases", node["x"].shape, a["stride"], a["pad"]), lambda: list(_phases(node)))


def _phases(node: Node) -> Iterator[Phase]:
    from chipfit.ops.conv2d import Conv2D

    x, w, y, a = node["x"], node["w"], node["y"], node.op.attributes()
    (_, in_h, in_w, in_c), (n, out_h, out_w, out) = x.shape, y.shape
    for row in _lines(out_h, a["stride"][0], w.shape[1], a["pad"][0]):
        for column in _lines(out_w, a["stride"][1], w.shape[2], a["pad"][1]):
            taps = w.array[:, row.taps, column.taps][:, ::-1, ::-1]
            row_pad, column_pad = row.pad, column.pad
            if taps.size == 0:  # outputs that no x reaches: the bias alone
                taps = np.zeros((out, 1, 1, in_c), w.array.dtype)
                row_pad, column_pad = 0, 0
            kernel_h, kernel_w = taps.shape[1:3]
            below = row.count - 1 + kernel_h - row_pad - in_h
            right = column.count - 1 + kernel_w - column_pad - in_w
            shape = (n, row.count, column.count, out)
            conv = Conv2D(pad=(row_pad, column_pad, below, right), act=a["act"])
            weights = Value(w.name, replace(w.type, shape=taps.shape), np.ascontiguousarray(taps))
            result = Value(y.name, TensorType(shape, y.dtype, y.type.quant))
            yield Phase(Node(conv, [x, weights, node.get("b")], [result]), (row.first, column.first))


# ---------------------------------------------------------------------------------------------- kernels


def transpose_conv_dsp_reason(node: Node) -> bool | str:
    """True, or why ``cf_transpose_conv_s8_dsp`` cannot be used."""
    reason = constant_operands(node)
    if reason is not True:
        return reason
    reasons = (conv_dsp_reason(phase.node, wide=False) for phase in phases_of(node))
    return next((reason for reason in reasons if reason is not True), True)


def transpose_conv_dsp_call(node: Node) -> list[Call]:
    """Arguments of ``cf_transpose_conv_s8_dsp``: a call for each phase."""
    return [_placed(node, phase, conv_phase_call(phase.node)) for phase in phases_of(node)]


def transpose_conv_scalar_call(node: Node, high_multiply: bool) -> list[Call]:
    """Arguments of ``cf_transpose_conv_s8_scalar`` (``high_multiply``) or ``..._thumb1``: a call for each phase."""
    strip = Scratch(STRIP * node["y"].shape[3])
    calls = [(phase, conv_scalar_call(phase.node, high_multiply)) for phase in phases_of(node)]
    return [_placed(node, phase, Call([strip, *call.args], call.params, call.struct)) for phase, call in calls]


def _placed(node: Node, phase: Phase, call: Call) -> Call:
    """The call with the phase's first pixel as its output, and at last the bytes from pixel to pixel, row and image."""
    y, (stride_h, stride_w) = node["y"], node.op.attributes()["stride"]
    _, height, width, channels = y.shape
    steps = np.array([stride_w * channels, stride_h * width * channels, height * width * channels], np.int32)
    to = Port("y", offset=(phase.first[0] * width + phase.first[1]) * channels)
    args = [to if arg == Port("y") else arg for arg in call.args]
    return Call([*args, Const("steps", steps)], call.params, call.struct)
