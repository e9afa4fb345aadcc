"""A grid for every tensor: tensors whose bytes are moved, and not computed, share one."""

from __future__ import annotations

from chipfit.graph import Graph, Node, Value
from chipfit.kmodel.compile.constraints import broken
from chipfit.kmodel.compile.grid import Grid
from chipfit.kmodel.compile.lower.conv import conv_of
from chipfit.kmodel.compile.statistics import Statistics
from chipfit.ops._pool import Pool
from chipfit.ops._resize import Resize
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.expand_dims import ExpandDims
from chipfit.ops.pad import Pad
from chipfit.ops.reshape import Reshape
from chipfit.ops.slice import Slice
from chipfit.ops.split import Split
from chipfit.ops.squeeze import Squeeze
from chipfit.ops.strided_slice import StridedSlice
from chipfit.ops.transpose import Transpose
from chipfit.quantize.observers import Range

_MOVES = (Reshape, Squeeze, ExpandDims, Transpose, Pad, Slice, StridedSlice, Split, Resize, Pool)
FACTOR = 2.0
"""Ranges that differ by more are not joined where the CPU concatenates: floats are, then."""


def grids_of(graph: Graph, statistics: Statistics, inputs: dict[Value, Grid]) -> dict[Value, Grid]:
    """By value, constants too. ``inputs``: the grids that are prescribed."""
    consumers = graph.consumers()
    shared: dict[Value, Value] = {}
    for node in graph.nodes:
        if isinstance(node.op, _MOVES):
            for y in node.outputs:
                _join(shared, node.operands[0], y)
        elif isinstance(node.op, Concatenation) and not reads_in_kpu(graph, node, consumers):
            widths = [_width(statistics.range(v)) for v in node.operands]
            if max(widths) <= FACTOR * min(widths):
                for value in node.operands:
                    _join(shared, node["y"], value)
    ranges: dict[Value, Range] = {}
    for value in graph.values():
        root = _root(shared, value)
        range_ = _of_constant(value) if value.is_const else statistics.range(value)
        ranges[root] = ranges[root].union(range_) if root in ranges else range_
    grids = {v: Grid.of(ranges[_root(shared, v)].low, ranges[_root(shared, v)].high) for v in graph.values()}
    for value, grid in inputs.items():
        for other in graph.values():
            if _root(shared, other) is _root(shared, value):
                grids[other] = grid
    for node in graph.nodes:
        if isinstance(node.op, Concatenation) and reads_in_kpu(graph, node, consumers):
            _side_by_side(node, grids)
    return grids


def _side_by_side(node: Node, grids: dict[Value, Grid]) -> None:
    """Channels of several layers in one map: each keeps its step, where one byte stands for 0 in all of them."""
    parts = [grids[v] for v in node.operands]
    if len({part.pad for part in parts}) == 1 and all(part.is_plain for part in parts):
        grids[node["y"]] = Grid.joined([(grids[v], v.shape[-1]) for v in node.operands])
        return
    ranges = [part.range for part in parts]
    whole = Grid.of(min(r.low for r in ranges), max(r.high for r in ranges))
    for value in (*node.operands, node["y"]):
        grids[value] = whole


def reads_in_kpu(graph: Graph, node: Node, consumers: dict[Value, list[Node]]) -> bool:
    """Whether all that reads a concatenation of channels are layers of the KPU."""
    y = node["y"]
    readers = consumers.get(y, [])
    if len(y.shape) != 4 or node.op.attributes()["axis"] % 4 != 3 or y in graph.outputs or not readers:
        return False
    return all(
        isinstance(n.op, Conv2D | DepthwiseConv2D) and n["x"] is y and broken(conv_of(n)) is None for n in readers
    )


def _of_constant(value: Value) -> Range:
    if value.data is None or not value.dtype.is_float or not value.data.size:
        return Range(0.0, 0.0)
    return Range(float(value.data.min()), float(value.data.max()))


def _width(range_: Range) -> float:
    return max(range_.high, 0.0) - min(range_.low, 0.0)


def _root(shared: dict[Value, Value], value: Value) -> Value:
    while value in shared:
        value = shared[value]
    return value


def _join(shared: dict[Value, Value], a: Value, b: Value) -> None:
    first, second = _root(shared, a), _root(shared, b)
    if first is not second:
        shared[second] = first
