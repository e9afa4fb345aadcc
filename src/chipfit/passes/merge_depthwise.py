"""Depthwise convolutions on groups of channels, put together again, become one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, Quant, TensorType, Value
from chipfit.graph.rewrite import Changed, Uses, pass_of_rules
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.slice import Slice
from chipfit.ops.split import Split
from chipfit.ops.strided_slice import StridedSlice

MORE_TAPS = 1.5
"""How many times the weights the merged layer may have: shorter kernels are filled up with zeros."""


@dataclass(frozen=True, eq=False)
class _Part:
    """A depthwise convolution on the channels from ``channel`` on and the rows and columns from ``begin`` on of x."""

    node: Node
    x: Value
    channel: int
    begin: tuple[int, int]

    @property
    def channels(self) -> int:
        return self.node["w"].shape[3]

    @property
    def end(self) -> tuple[int, int]:
        """Where its first window ends."""
        _, kh, kw, _ = self.node["w"].shape
        return self.begin[0] + kh, self.begin[1] + kw


def merge_depthwise(graph: Graph, node: Node, uses: Uses) -> Changed | str | None:
    """Mixed depthwise convolution (MixConv): SPLIT, a depthwise convolution for each group, CONCATENATION.

    Exact: a weight of 0 adds nothing to a sum, whatever the input and its zero point. Source of the pattern: Tan and
    Le, "MixConv: Mixed Depthwise Convolutional Kernels", 2019.
    """
    if not isinstance(node.op, Concatenation) or len(node.operands) < 2 or node.op.act != "none":
        return None
    producers = [uses.producer(v) for v in node.operands]
    if not all(p is not None and isinstance(p.op, DepthwiseConv2D) for p in producers):
        return None
    parts = [_part(p, uses) for p in producers if p is not None]
    reason = _why_not(node, parts, uses)
    if reason is not None:
        return reason
    y, count = node["y"], len(parts)
    merged = _merge(parts, y)
    for part in parts:
        uses.remove(part.node)
    node.op = merged.op
    uses.set_inputs(node, merged.inputs)
    return Changed(f"merged {count} depthwise convolutions into '{node.name}'")


def _part(node: Node, uses: Uses) -> _Part:
    """Follows the input up through slices and the split."""
    value, channel, begin = node["x"], 0, [0, 0]
    while (producer := uses.producer(value)) is not None:
        if isinstance(producer.op, Slice | StridedSlice) and _is_plain(producer):
            first: tuple[int, ...] = producer.op.begin
            begin = [begin[0] + first[1], begin[1] + first[2]]
            channel += first[3]
        elif isinstance(producer.op, Split) and producer.op.axis == 3:
            channel += sum(producer.op.sizes[: producer.outputs.index(value)])
        else:
            break
        value = producer["x"]
    return _Part(node, value, channel, (begin[0], begin[1]))


def _is_plain(node: Node) -> bool:
    """A slice of neighbouring elements of one image."""
    op, x, y = node.op, node["x"], node["y"]
    if len(x.shape) != 4 or len(y.shape) != 4 or x.shape[0] != y.shape[0]:
        return False
    return isinstance(op, Slice) or (isinstance(op, StridedSlice) and all(s == 1 for s in op.strides))


def _why_not(node: Node, parts: list[_Part], uses: Uses) -> str | None:
    op, first = node.op, parts[0]
    assert isinstance(op, Concatenation)
    if op.axis != 3 or node["y"].dtype is not DType.INT8:
        return "does not put channels of int8 together"
    if any(uses.only_reader(part.node["y"]) is not node for part in parts):
        return "is not the only reader of a depthwise convolution before it"
    if any(part.x is not first.x for part in parts):
        return "puts depthwise convolutions of different tensors together"
    starts = np.cumsum([0, *(part.channels for part in parts)]).tolist()
    if [part.channel for part in parts] != starts[:-1] or starts[-1] != first.x.shape[3]:
        return f"does not take the channels of '{first.x.name}' in order, each once"
    if any(_demands(part) != _demands(first) for part in parts):
        return "puts layers of different stride, dilation, activation or quantization together"
    return _why_not_sizes(node, parts)


def _demands(part: _Part) -> tuple[object, ...]:
    """What must be equal in all parts."""
    node, op = part.node, part.node.op
    assert isinstance(op, DepthwiseConv2D)
    one_each = node["x"].shape[3] == part.channels
    constant = all(v.is_const for v in node.operands[1:]) and not any(node["w"].q.zero_point)
    quants = node["x"].type.quant, node["y"].type.quant
    return op.stride, op.act, op.dilation == (1, 1), any(op.pad), one_each, constant, *quants, part.x.type.quant


def _why_not_sizes(node: Node, parts: list[_Part]) -> str | None:
    first = parts[0]
    _, _, undilated, padded, one_each, constant, x_quant, y_quant, source_quant = _demands(first)
    if padded or not (undilated and one_each and constant):
        return "puts layers with padding, dilation, a multiplier or computed weights together"
    if x_quant != source_quant or y_quant != node["y"].type.quant:
        return "changes a quantization on the way"
    stride, (_, h, w, _), (_, oh, ow, _) = first.node.op.attributes()["stride"], first.x.shape, node["y"].shape
    kh, kw = (max(part.end[i] for part in parts) for i in (0, 1))
    if min(min(part.begin) for part in parts) < 0 or ((h - kh) // stride[0] + 1, (w - kw) // stride[1] + 1) != (oh, ow):
        return "leaves out rows or columns that one kernel would have to read"
    taps = sum(part.node["w"].type.size for part in parts)
    if kh * kw * node["y"].shape[3] > MORE_TAPS * taps:
        return f"would need more than {MORE_TAPS:g} times the weights: its kernels are too different"
    return None


def _merge(parts: list[_Part], y: Value) -> Node:
    first = parts[0].node
    kh, kw = (max(part.end[i] for part in parts) for i in (0, 1))
    weights: list[Array] = []
    biases: list[Array] = []
    for part in parts:
        w, b = part.node["w"], part.node.get("b")
        after = ((part.begin[0], kh - part.end[0]), (part.begin[1], kw - part.end[1]))
        weights.append(np.pad(w.array, ((0, 0), *after, (0, 0))))
        biases.append(np.zeros(part.channels, np.int32) if b is None else b.array)
    scales = tuple(s for part in parts for s in part.node["w"].q.scales(part.channels))
    zeros = (0,) * len(scales)
    x = parts[0].x
    w = np.concatenate(weights, axis=3)
    w_type = TensorType(w.shape, DType.INT8, Quant(scales, zeros, 3))
    b_type = TensorType((len(scales),), DType.INT32, Quant(tuple(x.q.s * s for s in scales), zeros, 0))
    values: list[Value | None] = [
        x,
        Value(f"{first['w'].name} merged", w_type, w),
        Value(f"{y.name} bias", b_type, np.concatenate(biases).astype(np.int32)),
    ]
    return Node(dataclasses.replace(first.op), values, [y])


MERGE_DEPTHWISE = pass_of_rules(
    "merge_depthwise",
    "Depthwise convolutions on groups of channels (MixConv) become one; shorter kernels get zeros.",
    [merge_depthwise],
)
