"""In which order kernels read and write: what decides how far an output may lie over its dying input.

A kernel states its traversal as steps. Whatever of an input no later step reads may be overwritten; the planner turns
that into distances (see :mod:`chipfit.plan.overlay`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from chipfit.graph import Array, Node, TensorType, Value
from chipfit.ops._window import Pads

if TYPE_CHECKING:
    from chipfit.ops._base import Op

Spans = tuple[Array, Array]
"""For each step the first byte and one past the last, int64; the second is not greater where there is none."""


@dataclass(frozen=True)
class Rows:
    """Output row r needs the input rows from ``r * stride - pad`` on, ``span`` of them, of every activation operand.

    ``can_pad``: rows outside of the image may be given as rows of the input's zero point (else they do not count).
    """

    span: int = 1
    stride: int = 1
    pad: int = 0
    can_pad: bool = True

    def needed(self, row: int, height: int) -> tuple[int, int]:
        """First row and one past the last that are inside an input of this height."""
        top = row * self.stride - self.pad
        return max(0, top), min(height, top + self.span)


@dataclass(frozen=True, eq=False)
class Traversal:
    """Steps in the order they run. Step p reads ``reads[port][0][p]`` to ``reads[port][1][p]`` (bytes of that operand,
    the end excluded) and writes ``writes[0][p]`` to ``writes[1][p]`` of the output.

    ``staged``: a step has read everything before it writes anything; else it may read until its last write.
    ``lane``: bytes of a pixel where a step takes channels one after the other, each written at the place in a pixel at
    which it was read, after all of it was read: at a distance of whole pixels a step never overwrites what it has still
    to read. 0: not so.
    """

    reads: Mapping[str, Spans]
    writes: Spans
    staged: bool = False
    lane: int = 0


def _span(begin: Array, end: Array) -> Spans:
    return begin.astype(np.int64), end.astype(np.int64)


def elementwise(node: Node, backward: bool = False) -> Traversal:
    """One element after the other; operands and output have the same number of elements.

    Operands that have another shape (broadcasting) are read at any time.
    """
    y = node.outputs[0]
    n = y.type.size
    at = np.arange(n, dtype=np.int64)
    at = at[::-1] if backward else at
    reads: dict[str, Spans] = {}
    for name, value in zip(node.op.inputs, node.inputs, strict=False):
        if value is None or value.is_const:
            continue
        size = value.type.nbytes // max(1, value.type.size)
        whole = value.type.size != n
        reads[name] = _span(np.zeros(n), np.full(n, value.type.nbytes)) if whole else _span(at * size, (at + 1) * size)
    out = y.type.nbytes // max(1, n)
    return Traversal(reads, _span(at * out, (at + 1) * out), staged=True)


def windows_traversal(node: Node, *, block: int, staged: bool, backward: bool = False) -> Traversal | None:
    """Output pixels in order, ``block`` at a time (across the ends of rows), each with its window of x.

    For conv2d, depthwise_conv2d and pools on (n, h, w, c). Backward only for single images: else None.
    """
    n, (_, oh, ow, _) = node["x"].shape[0], node["y"].shape
    if backward and n > 1:
        return None
    low, high = window_spans(node)
    image, out = node["x"].type.nbytes // n, node["y"].type.nbytes // (n * oh * ow)
    low = (np.arange(n)[:, None] * image + low.reshape(1, -1)).reshape(-1)
    high = (np.arange(n)[:, None] * image + high.reshape(1, -1)).reshape(-1)
    starts = np.arange(0, n * oh * ow, block)
    ends = np.append(starts[1:], n * oh * ow)
    if backward:  # whole blocks are counted from the end
        ends = n * oh * ow - starts
        starts = np.maximum(0, ends - block)
    edges = starts if not backward else starts[::-1]
    lows, highs = np.minimum.reduceat(low, edges), np.maximum.reduceat(high, edges)
    if backward:
        lows, highs = lows[::-1], highs[::-1]
    return Traversal({"x": _span(lows, highs)}, _span(starts * out, ends * out), staged=staged)


def window_spans(node: Node) -> Spans:
    """First byte and one past the last of x that each output pixel reads, (out_h, out_w); of the first image."""
    x, y = node["x"], node["y"]
    (_, h, w, c), (_, oh, ow, _) = x.shape, y.shape
    size = x.type.nbytes // max(1, x.type.size) * c
    kernel, stride, pad, dilation = _window_of(node)
    rows = _inside(oh, stride[0], pad[0], (kernel[0] - 1) * dilation[0] + 1, h)
    columns = _inside(ow, stride[1], pad[1], (kernel[1] - 1) * dilation[1] + 1, w)
    low = (rows[0][:, None] * w + columns[0][None, :]) * size
    high = ((rows[1][:, None] - 1) * w + columns[1][None, :]) * size
    nothing = (rows[0] >= rows[1])[:, None] | (columns[0] >= columns[1])[None, :]  # a window of padding alone
    return np.where(nothing, h * w * size, low), np.where(nothing, 0, high)


def _inside(count: int, stride: int, pad: int, span: int, size: int) -> Spans:
    """For each output the first element inside the input that it reads, and one past the last."""
    top = np.arange(count, dtype=np.int64) * stride - pad
    low = np.clip(top, 0, size)
    return low, np.maximum(low, np.minimum(top + span, size))


def _window_of(node: Node) -> tuple[tuple[int, int], tuple[int, int], Pads, tuple[int, int]]:
    """Kernel, stride, padding, dilation."""
    a = node.op.attributes()
    kernel: tuple[int, int] = a["kernel"] if "kernel" in a else cast(Any, node["w"].shape[1:3])
    return kernel, a["stride"], a["pad"], a.get("dilation", (1, 1))


def line_traversal(
    node: Node, *, along_rows: bool, band: int, lane: int, staged: bool = False, backward: bool = False
) -> Traversal | None:
    """Bands of ``band`` output lines; lines are rows of the image, or its columns (then a step touches all rows)."""
    (n, _, _, _), (_, oh, ow, oc) = node["x"].shape, node["y"].shape
    if n > 1:
        return None
    low, high = window_spans(node)
    size = node["y"].type.nbytes // (oh * ow * oc) * oc
    lines = oh if along_rows else ow
    firsts = np.arange(0, lines, band)
    lasts = np.minimum(firsts + band, lines)
    axis = 1 if along_rows else 0
    line_low, line_high = low.min(axis=axis), high.max(axis=axis)
    reads = _span(np.minimum.reduceat(line_low, firsts), np.maximum.reduceat(line_high, firsts))
    if along_rows:
        writes = _span(firsts * ow * size, lasts * ow * size)
    else:
        writes = _span(firsts * size, ((oh - 1) * ow + lasts) * size)
    o = slice(None, None, -1) if backward else slice(None)
    return Traversal({"x": (reads[0][o], reads[1][o])}, (writes[0][o], writes[1][o]), staged=staged, lane=lane)


# ---------------------------------------------------------------------------------------------- rows


def window_rows(node: Node, can_pad: bool = True) -> Rows | str:
    """The vertical geometry of a sliding window."""
    if node["x"].shape[0] != 1:
        return "it works on a batch of images"
    kernel, stride, pad, dilation = _window_of(node)
    rows = Rows((kernel[0] - 1) * dilation[0] + 1, stride[0], pad[0], can_pad)
    first, last = (rows.needed(row, node["x"].shape[1]) for row in (0, node["y"].shape[1] - 1))
    if first[0] >= first[1] or last[0] >= last[1]:
        return "an output row has its whole window in the padding"
    return rows


def elementwise_rows(node: Node) -> Rows | str:
    """Rows of operands and output correspond where all have the same shape (1, h, w, c)."""
    y = node.outputs[0]
    if len(y.shape) != 4 or y.shape[0] != 1:
        return "it does not work on one image"
    same = all(v.shape == y.shape for v in node.operands if not v.is_const)
    constants = [v for v in node.operands if v.is_const]
    small = all(v.type.size in (1, y.shape[3]) and v.type.size == prod(v.shape[-1:]) for v in constants)
    return Rows() if same and small else "operands are broadcast"


def sliced(node: Node, op: Op, first: int, end: int, count: int) -> Node:
    """``node`` with the operator ``op`` on input rows ``first`` to ``end - 1``, and ``count`` rows of output."""

    def cut(value: Value, rows: int) -> Value:
        shape = (1, rows, *value.shape[2:])
        return Value(value.name, TensorType(shape, value.dtype, value.type.quant))

    inputs = [v if v is None or v.is_const else cut(v, end - first) for v in node.inputs]
    return Node(op, inputs, [cut(node.outputs[0], count)])


def slice_window_rows(node: Node, first: int, count: int, padded: bool) -> Node:
    """``Op.slice_rows`` of a sliding window."""
    rows = cast(Rows, window_rows(node))
    height = node["x"].shape[1]
    top, end = first * rows.stride - rows.pad, (first + count - 1) * rows.stride - rows.pad + rows.span
    above, below = (0, 0) if padded else (max(0, -top), max(0, end - height))
    _, left, _, right = node.op.attributes()["pad"]
    op: Any = replace(cast(Any, node.op), pad=(above, left, below, right))
    return sliced(node, op, top + above, end - below, count)
