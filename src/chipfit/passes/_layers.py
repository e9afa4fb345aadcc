"""Convolutions and fully connected layers as the passes see them: constant int8 weights, sums at each border."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from chipfit.fixedpoint import INT32_MAX, Int, requantize
from chipfit.graph import Array, DType, Graph, Node, Quant, TensorType, Value
from chipfit.ops._activation import activation_range
from chipfit.ops._dense import dense_multipliers, dense_range
from chipfit.ops._window import output_multipliers
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected


@dataclass(frozen=True)
class Layer:
    """An int8 layer with constant weights and bias.

    ``channel_axis`` is the axis of the weights that counts output channels. A depthwise layer has no column axis: each
    output channel reads one input channel.
    """

    node: Node
    channel_axis: int
    depthwise: bool

    @cached_property
    def channels(self) -> int:
        """Output channels."""
        return self.node["w"].shape[self.channel_axis]

    @cached_property
    def input_channels(self) -> int:
        return self.node["x"].shape[-1]

    @cached_property
    def bias(self) -> Int:
        b = self.node.get("b")
        return np.zeros(self.channels, np.int64) if b is None else b.array.astype(np.int64)

    @property
    def taps(self) -> Array:
        """Weights (kh, kw, out, columns), int8; a column for each input channel, or several (position, channel)."""
        w = self.node["w"].array
        if self.depthwise:
            return w[0, :, :, :, None]
        return w[None, None] if w.ndim == 2 else w.transpose(1, 2, 0, 3)

    @cached_property
    def _borders(self) -> tuple[Array, Array]:
        """(classes, kh) and (classes, kw): which taps of a window lie inside of the input, each combination once."""
        op, x, y = self.node.op, self.node["x"].shape, self.node["y"].shape
        if isinstance(op, FullyConnected):
            return np.ones((1, 1)), np.ones((1, 1))
        assert isinstance(op, Conv2D | DepthwiseConv2D)
        rows, columns = (
            _inside(x[1 + i], y[1 + i], self.taps.shape[i], op.stride[i], op.pad[i], op.dilation[i]) for i in range(2)
        )
        return rows, columns

    @property
    def reads_padding(self) -> bool:
        return any(not inside.all() for inside in self._borders)

    def at_borders(self, t: Array) -> Int:
        """Sums of (kh, kw, ...) over the taps inside of the input: (classes, ...), one class for each kind of border.

        ``t`` is float64, which holds every sum of int8 products exactly (far below 2**53).
        """
        rows, columns = self._borders
        sums = np.tensordot(columns, np.tensordot(rows, t, (1, 0)), (1, 1))
        return sums.reshape(-1, *t.shape[2:]).astype(np.int64)

    def columns_of(self, per_channel: Array) -> Array:
        """Numbers per input channel, one for each column of ``taps`` (depthwise: for each output channel)."""
        if self.depthwise:
            return np.repeat(per_channel, self.channels // self.input_channels)
        return np.tile(per_channel, self.node["w"].shape[-1] // self.input_channels)

    @cached_property
    def sums_fit(self) -> bool:
        """Whether every partial sum stays inside int32 whatever inputs are folded into the bias, in any order."""
        magnitudes = np.abs(self.taps.astype(np.int32)).sum(axis=(0, 1, 3), dtype=np.int64)
        return int((np.abs(self.bias) + 255 * magnitudes).max()) <= INT32_MAX

    def output_range(self, acc_min: Int, acc_max: Int) -> tuple[Int, Int]:
        """Least and greatest output of each channel for these extreme sums: requantization never falls."""
        x, w, y = self.node["x"], self.node["w"], self.node["y"]
        if isinstance(self.node.op, FullyConnected):
            (m, shift), (low, high) = dense_multipliers(self.node), dense_range(self.node)
        else:
            m, shift = output_multipliers(x, w, y, self.channels)
            low, high = activation_range(self.node.op.attributes()["act"], y.dtype, y.q)
        # where the left shift wraps around, nothing is known
        shifted = np.maximum(np.abs(acc_min), np.abs(acc_max)) << np.maximum(shift.astype(np.int64), 0)
        known = self.sums_fit & (shifted <= INT32_MAX)
        least = requantize(np.where(known, acc_min, 0), m, shift, y.q.zp, low, high)
        greatest = requantize(np.where(known, acc_max, 0), m, shift, y.q.zp, low, high)
        return np.where(known, least, low), np.where(known, greatest, high)


@lru_cache
def _inside(size: int, out: int, taps: int, stride: int, before: int, dilation: int) -> Array:
    """(classes, taps): which taps of a window lie inside of one axis of the input, each combination once."""
    at = np.arange(out)[:, None] * stride - before + np.arange(taps) * dilation
    inside = (at >= 0) & (at < size)
    return (inside[:1] if inside.all() else np.unique(inside, axis=0)).astype(np.float64)


def layers_of(graph: Graph) -> dict[Node, Layer]:
    """The nodes that are layers whose channels can be told apart at compile time."""
    return {n: Layer(n, _AXES[type(n.op)], _is_depthwise(n)) for n in graph.nodes if why_no_layer(n) is None}


def why_no_layer(node: Node) -> str | None:
    """What a layer lacks that the passes need; ``""`` if the node is no such layer at all."""
    if type(node.op) not in _AXES:
        return ""
    x, w, b = node["x"], node["w"], node.get("b")
    if x.dtype is not DType.INT8 or w.dtype is not DType.INT8 or node["y"].dtype is not DType.INT8:
        return "computes on real numbers, whose sums depend on their order"
    if not w.is_const or (b is not None and not b.is_const):
        return "has weights that are computed at run time"
    if x.is_const:
        return "has a constant input"
    if isinstance(node.op, Conv2D) and w.shape[3] != x.shape[3]:
        return "is a convolution in groups"
    if not x.shape or not w.type.size or w.shape[-1] % x.shape[-1]:
        return "has rows of weights that are no multiple of its input's channels"
    return None


def _is_depthwise(node: Node) -> bool:
    return isinstance(node.op, DepthwiseConv2D)


_AXES: dict[type, int] = {Conv2D: 0, DepthwiseConv2D: 3, FullyConnected: 0}
"""The axis of the weights that counts output channels."""


def sliced_quant(quant: Quant | None, axis: int, kept: Array) -> Quant | None:
    """The quantization of a constant of which only some channels along ``axis`` are kept."""
    if quant is None or quant.axis != axis:
        return quant
    chosen = np.flatnonzero(kept).tolist()
    return Quant(tuple(quant.scale[i] for i in chosen), tuple(quant.zero_point[i] for i in chosen), axis)


def bias_quant(x: Value, w: Value) -> Quant:
    """The quantization of a bias that a layer did not have: the product of the scales."""
    scales = tuple(float(np.float32(x.q.s * s)) for s in w.q.scale)
    return Quant(scales, (0,) * len(scales), None if w.q.axis is None else 0)


def sliced(value: Value, axis: int, kept: Array) -> Value:
    """The same constant with only some of its channels along ``axis``."""
    data = np.ascontiguousarray(np.compress(kept, value.array, axis=axis))
    return Value(value.name, TensorType(data.shape, value.dtype, sliced_quant(value.type.quant, axis, kept)), data)
