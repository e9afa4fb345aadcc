"""Least and greatest integer that each channel of each int8 tensor can hold, whatever the inputs are.

A channel whose least and greatest integer are equal is a constant. Ranges are sound, not tight: they start at layers,
and an operator that is not listed here gives the whole range of int8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chipfit.fixedpoint import Int
from chipfit.graph import Array, DType, Graph, Node, TensorType, Value
from chipfit.ops import op_of
from chipfit.ops._activation import activation_range
from chipfit.ops._pool import Pool
from chipfit.ops._unary import Unary
from chipfit.ops.add import Add
from chipfit.ops.mean import Mean
from chipfit.ops.mul import Mul
from chipfit.ops.quantize import Quantize
from chipfit.ops.sub import Sub
from chipfit.passes._layers import Layer

BYTES = np.arange(-128, 128, dtype=np.int8)


@dataclass(frozen=True)
class Range:
    """``low`` and ``high``: (channels,); channels are those of the last axis, a tensor without axes has one."""

    low: Int
    high: Int

    @property
    def constant(self) -> Array:
        """Which channels hold one integer only."""
        return self.low == self.high


def ranges_of(graph: Graph, layers: dict[Node, Layer]) -> dict[Value, Range]:
    """The range of the int8 tensors of which one is known."""
    ranges: dict[Value, Range] = {}
    for node in graph.nodes:
        layer = layers.get(node)
        if layer is not None:
            ranges[node["y"]] = layer_range(layer, range_of(node["x"], ranges))
        elif not ranges.keys().isdisjoint(node.operands):
            found = _carried_range(node, ranges)
            if found is not None:
                ranges[node.outputs[0]] = found
    return ranges


def range_of(value: Value, ranges: dict[Value, Range]) -> Range:
    """What is known of an int8 tensor: of a constant its elements, of an unknown one nothing."""
    channels = value.shape[-1] if value.shape else 1
    if value.data is not None and value.data.size:
        rows = value.data.reshape(-1, channels).astype(np.int64)
        return Range(rows.min(axis=0), rows.max(axis=0))
    found = ranges.get(value)
    return Range(np.full(channels, -128), np.full(channels, 127)) if found is None else found


def _carried_range(node: Node, ranges: dict[Value, Range]) -> Range | None:
    if len(node.outputs) != 1 or node.outputs[0].dtype is not DType.INT8:
        return None
    if op_of(node).is_view:
        return _view_range(node, range_of(node["x"], ranges))
    if isinstance(node.op, Pool):
        x, (low, high) = range_of(node["x"], ranges), activation_range(node.op.act, DType.INT8, node["y"].q)
        return Range(np.clip(x.low, low, high), np.clip(x.high, low, high))
    if isinstance(node.op, Unary | Quantize):
        return _table_range(byte_table(node), range_of(node["x"], ranges))
    if isinstance(node.op, Mean):
        return _mean_range(node, node.op, range_of(node["x"], ranges))
    if isinstance(node.op, Add | Sub | Mul):
        return _binary_range(node, range_of(node["a"], ranges), range_of(node["b"], ranges))
    return None


def layer_range(layer: Layer, x: Range) -> Range:
    """From the extreme sums at each kind of border: padding adds nothing, so that it counts as the zero point."""
    zero = layer.node["x"].q.zp
    low, high = layer.columns_of(x.low - zero).astype(np.float64), layer.columns_of(x.high - zero).astype(np.float64)
    taps = layer.taps.astype(np.float64)
    up, down = np.maximum(taps, 0), np.minimum(taps, 0)
    if layer.depthwise:
        least, most = up[..., 0] * low + down[..., 0] * high, up[..., 0] * high + down[..., 0] * low
    else:
        least, most = up @ low + down @ high, up @ high + down @ low
    acc_min, acc_max = layer.at_borders(least).min(axis=0), layer.at_borders(most).max(axis=0)
    return Range(*layer.output_range(layer.bias + acc_min, layer.bias + acc_max))


def byte_table(node: Node) -> Array:
    """What an operator on single int8 elements makes of -128..127."""
    x, y = node["x"], node["y"]
    alone = Node(
        node.op,
        [Value("x", TensorType((256,), DType.INT8, x.type.quant))],
        [Value("y", TensorType((256,), y.dtype, y.type.quant))],
    )
    return op_of(node).evaluate(alone, BYTES)[0]


def _table_range(table: Array, x: Range) -> Range:
    pairs = np.stack([x.low, x.high], axis=1)
    unique, index = np.unique(pairs, axis=0, return_inverse=True)
    reached = [table[low + 128 : high + 129].astype(np.int64) for low, high in unique.tolist()]
    low, high = np.array([r.min() for r in reached]), np.array([r.max() for r in reached])
    return Range(low[index.reshape(-1)], high[index.reshape(-1)])


def _mean_range(node: Node, op: Mean, x: Range) -> Range | None:
    """A mean over rows and columns: of a constant it is a constant."""
    shape = node["x"].shape
    if not shape or len(shape) - 1 in op.axes:
        return None
    # one element for each axis that stays: what goes into one output of each channel
    small = tuple(n if axis in op.axes or axis == len(shape) - 1 else 1 for axis, n in enumerate(shape))
    return _known_where(x.constant, op.eval_int(node, np.broadcast_to(x.low, small)))


def _binary_range(node: Node, a: Range, b: Range) -> Range:
    """Of two constants, element by element."""
    shape = node["y"].shape[-1:] or (1,)
    known = np.broadcast_to(a.constant & b.constant, shape)
    return _known_where(known, np.broadcast_to(np.asarray(op_of(node).eval_int(node, a.low, b.low)), shape))


def _known_where(known: Array, value: Array) -> Range:
    value = value.reshape(-1).astype(np.int64)
    return Range(np.where(known, value, -128), np.where(known, value, 127))


def _view_range(node: Node, x: Range) -> Range:
    channels = node["y"].shape[-1] if node["y"].shape else 1
    if channels % len(x.low) == 0:
        return Range(np.tile(x.low, channels // len(x.low)), np.tile(x.high, channels // len(x.low)))
    return Range(np.full(channels, x.low.min()), np.full(channels, x.high.max()))
