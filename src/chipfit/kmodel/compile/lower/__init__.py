"""From a prepared graph to steps of a kmodel: every node goes to the KPU where the rules allow it, else to the CPU."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from chipfit.graph import Graph, Node, Value
from chipfit.kmodel.compile.constraints import LEAST_SIDE, UPLOAD, Rule, broken
from chipfit.kmodel.compile.grid import Grid
from chipfit.kmodel.compile.lower.conv import Layer, layer_of, lower_conv
from chipfit.kmodel.compile.lower.cpu import lower_cpu
from chipfit.kmodel.compile.lower.grids import reads_in_kpu
from chipfit.kmodel.compile.lower.moves import cut_in_kpu
from chipfit.kmodel.compile.lower.state import Block, Forms, InputInKpuError, KpuMap, State
from chipfit.kmodel.compile.quantize import Rounded
from chipfit.kmodel.compile.statistics import Statistics
from chipfit.kmodel.compile.view import View
from chipfit.kmodel.format.codec import DataType, Memory
from chipfit.kmodel.format.layout import MapLayout
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.slice import Slice
from chipfit.ops.strided_slice import StridedSlice

DENSE_WEIGHTS = 1024
"""Weights from which on a dense layer is worth the way to the KPU and back."""


@dataclass(frozen=True, eq=False)
class Unit:
    """Nodes that became one thing. ``name``: of the last tensor; ``rule``: the one that sends it to the CPU;
    ``is_layer``: whether the KPU computes it."""

    name: str
    value: Value
    nodes: tuple[Node, ...]
    is_layer: bool
    rule: Rule | None


@dataclass(frozen=True, eq=False)
class Lowered:
    """Steps in order, and where inputs and outputs are."""

    state: State
    units: tuple[Unit, ...]
    inputs: tuple[Block, ...]
    outputs: tuple[Block, ...]


@dataclass(frozen=True, eq=False)
class Numbers:
    """How numbers become bytes. ``grids``: of every tensor; ``rounded``: weights, by the sum that their layer computes,
    where they are not just rounded to the nearest; ``images``: inputs that are bytes."""

    statistics: Statistics
    grids: Mapping[Value, Grid]
    rounded: Mapping[Value, Rounded]
    images: Collection[Value]


def lower(graph: Graph, numbers: Numbers) -> Lowered:
    """``graph``: from :func:`prepare`. Raises ChipfitError O002 for a layer that no opcode computes."""
    try:
        return _lower(graph, numbers, in_kpu=True)
    except InputInKpuError:
        return _lower(graph, numbers, in_kpu=False)


def _lower(graph: Graph, numbers: Numbers, *, in_kpu: bool) -> Lowered:
    images = numbers.images
    state = State(graph, numbers.statistics, numbers.grids, numbers.rounded, consumers=graph.consumers())
    given = tuple(_input(state, v, in_kpu and v in images and _for_kpu(state, v), v in images) for v in graph.inputs)
    units: list[Unit] = []
    done: set[int] = set()
    for node in graph.nodes:
        if id(node) in done:
            continue
        unit = _unit(state, node)
        done.update(id(n) for n in unit.nodes)
        units.append(unit)
    state.unit = ""
    return Lowered(state, tuple(units), given, tuple(state.floats(v) for v in graph.outputs))


def _input(state: State, value: Value, in_kpu: bool, is_image: bool) -> Block:
    if in_kpu:
        _, h, w, c = value.shape
        view = View.whole(c, h, w)
        block = state.kpu(value.name, view)
        state.forms[value] = Forms(kpu=KpuMap(block, view, state.grid(value)))
        return block
    block = state.main(value.name, value.type.size, DataType.UINT8 if is_image else DataType.FLOAT32)
    state.forms[value] = Forms(bytes_=block) if is_image else Forms(floats=block)
    return block


def _for_kpu(state: State, value: Value) -> bool:
    """Whether only layers of the KPU read an input."""
    readers = state.consumers.get(value, [])
    return (
        len(value.shape) == 4
        and min(value.shape[1:3]) >= LEAST_SIDE
        and value not in state.graph.outputs
        and bool(readers)
        and all(isinstance(n.op, Conv2D | DepthwiseConv2D) and broken(layer_of(state, n).conv) is None for n in readers)
    )


def _unit(state: State, node: Node) -> Unit:
    state.unit = node.outputs[0].name
    if isinstance(node.op, Conv2D | DepthwiseConv2D | FullyConnected) and node["w"].is_const:
        layer = layer_of(state, node)
        rule = broken(layer.conv)
        if rule is None and not _is_small(layer):
            state.unit = layer.y.name
            done = lower_conv(state, layer)
            return Unit(state.unit, layer.y, (node, *done), True, None)
        return _on_cpu(state, node, rule)
    is_joined = isinstance(node.op, Concatenation) and reads_in_kpu(state.graph, node, state.consumers)
    if is_joined and _side_by_side(state, node):
        return Unit(state.unit, node["y"], (node,), True, None)
    if isinstance(node.op, Slice | StridedSlice) and cut_in_kpu(state, node):
        return Unit(state.unit, node.outputs[0], (node,), False, None)
    return _on_cpu(state, node, None)


def _on_cpu(state: State, node: Node, rule: Rule | None) -> Unit:
    done = lower_cpu(state, node)
    last = done[-1] if done else node
    name = last.outputs[0].name
    for step in state.steps:
        if step.layer == state.unit:
            step.layer = name
    if state.unit in state.reasons and name != state.unit:
        state.reasons[name] = state.reasons.pop(state.unit)
    return Unit(name, last.outputs[0], tuple(done or [node]), False, rule)


def _is_small(layer: Layer) -> bool:
    """Whether a dense layer is better left to the CPU, in floats."""
    conv = layer.conv
    return conv.rows == conv.columns == 1 and conv.channels * conv.out_channels < DENSE_WEIGHTS


def _side_by_side(state: State, node: Node) -> bool:
    """Let the layers before a concatenation write into one map. False: they cannot."""
    y = node["y"]
    _, rows, columns, channels = y.shape
    whole = View.whole(channels, rows, columns)
    groups = MapLayout(1, rows, columns).groups
    parts = list(node.operands)
    if len(set(parts)) < len(parts) or any(v.shape[3] % groups for v in parts[:-1]) or min(rows, columns) < LEAST_SIDE:
        return False
    for value in parts:
        made = state.forms_of(value).kpu
        if made is not None and (made.step is None or made.block.parent is not None or not made.view.is_whole):
            return False
    if all(state.forms_of(v).kpu is None for v in parts):
        return False
    block = Block(Memory.KPU, DataType.UINT8, whole.layout.size, y.name)
    offset = 0
    for value in parts:
        made = state.forms_of(value).kpu
        if made is None:
            view = View.whole(value.shape[3], rows, columns)
            made = state.upload(state.bytes_(value), view, state.grid(value), value.name, UPLOAD)
            state.forms_of(value).kpu = made
        made.block.parent, made.block.offset = block, offset
        offset += made.view.layout.size
    state.forms_of(y).kpu = KpuMap(block, whole, state.grid(y), parts=tuple(parts))
    return True
