"""A grid for every tensor: tensors whose bytes are moved, and not computed, share one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chipfit.graph import Array, Graph, Node, Value
from chipfit.kmodel.compile.constraints import broken
from chipfit.kmodel.compile.functions import function_of
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
from chipfit.quantize.calibrate import HEADROOM
from chipfit.quantize.observers import Range

_MOVES = (Reshape, Squeeze, ExpandDims, Transpose, Pad, Slice, StridedSlice, Split, Resize, Pool)
FACTOR = 2.0
"""Ranges that differ by more are not joined where the CPU concatenates: floats are, then."""
MOST_FACTOR = 4.0
"""A channel's step is finer than the tensor's by no more: other samples may show more of it than these few."""


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
    for value, seen in _clamped(graph, statistics, consumers):
        if grids[value].is_plain:
            grids.update(dict.fromkeys((value, *_parts(graph, value, consumers)), _by_channel(grids[value], seen)))
    return grids


def _clamped(graph: Graph, statistics: Statistics, consumers: dict[Value, list[Node]]) -> Iterator[tuple[Value, Array]]:
    """Results of a layer that ends in a ReLU and that layers of the KPU alone read, with the greatest number of each
    channel."""
    for node in graph.nodes:
        if not is_layer(node):
            continue
        function = function_of(graph, node["y"], consumers)
        value = function.y
        seen = statistics.greatest.get(value.name)
        if seen is None or [n.op.name for n in function.nodes] not in (["relu"], ["relu6"]):
            continue
        parts = _parts(graph, value, consumers)
        readers = [n for v in (value, *parts) for n in consumers.get(v, []) if n.outputs[0] not in parts]
        if value not in graph.outputs and readers and all(is_layer(n) for n in readers):
            yield value, seen


def _parts(graph: Graph, value: Value, consumers: dict[Value, list[Node]]) -> list[Value]:
    """What is cut out of a map where it lies."""
    return [n.outputs[0] for n in consumers.get(value, []) if is_part(graph, n, consumers)]


def _by_channel(grid: Grid, seen: Array) -> Grid:
    """A step for each channel: what ReLU cuts at 0 may be as much larger in the map as it fits, and the layers that
    read it take the factor back in their weights. No channel gets a finer step than helps.

    Numbers beyond the samples' are clipped, as they are for the tensor as a whole.
    """
    step = float(grid.step[0])
    wanted = np.maximum(seen * HEADROOM / 255.0, step / MOST_FACTOR)
    return Grid(np.minimum(wanted, step), np.zeros(len(seen)))


def is_part(graph: Graph, node: Node, consumers: dict[Value, list[Node]]) -> bool:
    """Whether a node keeps pixels of a map, and only layers of the KPU read them."""
    if not isinstance(node.op, Slice | StridedSlice):
        return False
    x, y = node.operands[0], node.outputs[0]
    step = node.op.attributes().get("strides", (1, 1, 1, 1))
    is_image = len(x.shape) == len(y.shape) == 4 and x.shape[3] == y.shape[3]
    return is_image and 0 < step[1] == step[2] and only_convolutions(graph, y, consumers)


def is_layer(node: Node) -> bool:
    """Whether a node is a convolution that the KPU computes."""
    return isinstance(node.op, Conv2D | DepthwiseConv2D) and node["w"].is_const and broken(conv_of(node)) is None


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
    is_joined = len(y.shape) == 4 and node.op.attributes()["axis"] % 4 == 3
    return is_joined and only_convolutions(graph, y, consumers)


def only_convolutions(graph: Graph, value: Value, consumers: dict[Value, list[Node]]) -> bool:
    """Whether all that reads an image are layers of the KPU."""
    readers = consumers.get(value, [])
    return value not in graph.outputs and bool(readers) and all(is_layer(n) and n["x"] is value for n in readers)


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
