"""The graph without some of its channels, and weights that make up for what they gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chipfit.compress.channels.flow import Fewer, flow_of
from chipfit.compress.channels.structure import Structure
from chipfit.graph import Array, Graph, Node, TensorType, Value, take_name


@dataclass(frozen=True, eq=False)
class Refit:
    """New weights and bias of a layer, with all of its columns and output channels."""

    w: Array
    b: Array


def without(structure: Structure, gone: Array, refits: Mapping[Node, Refit] | None = None) -> Graph:
    """A new graph without the channels of the numbers that are ``gone``, (numbers,), bool.

    ``refits``: weights that some layers get. Names stay, and so does the old graph. Raises ChipfitError G003 for a
    tensor that would be left without any channel.
    """
    fewer = Fewer(structure.along, gone)
    result = Graph(structure.graph.name)
    values: dict[Value, Value] = {}

    def of(value: Value) -> Value:
        if value not in values:
            values[value] = Value(value.name, value.type, value.data)
        return values[value]

    names = {v.name for v in structure.graph.values()}
    result.inputs = [of(v) for v in structure.graph.inputs]
    constants: dict[tuple[str, bytes], Value] = {}
    for node in structure.graph.nodes:
        old = _refitted(node, refits, names)
        flow = flow_of(old)
        op, operands = (old.op, list(old.inputs)) if flow is None else flow.cut(old, fewer)
        inputs = [None if v is None else _own(v, constants, names) if v.is_const else of(v) for v in operands]
        new = Node(op, inputs, [])
        shapes = op.infer(new)
        for value, shape in zip(old.outputs, shapes, strict=True):
            values[value] = Value(value.name, TensorType(tuple(shape), value.dtype, value.type.quant))
        new.outputs = [values[v] for v in old.outputs]
        result.nodes.append(new)
    result.outputs = [of(v) for v in structure.graph.outputs]
    result.verify()
    return result


def _refitted(node: Node, refits: Mapping[Node, Refit] | None, names: set[str]) -> Node:
    refit = None if refits is None else refits.get(node)
    if refit is None:
        return node
    w, b = node["w"], node.get("b")
    bias_name = b.name if b is not None else take_name(f"{node.name}/bias", names)
    bias = Value(bias_name, TensorType(refit.b.shape, w.dtype), refit.b.astype(np.float32))
    return Node(node.op, [node["x"], Value(w.name, w.type, refit.w.astype(np.float32)), bias], node.outputs)


def _own(value: Value, constants: dict[tuple[str, bytes], Value], names: set[str]) -> Value:
    """A constant as it is read here: readers that need other parts of it get others, under names of their own."""
    data = np.ascontiguousarray(value.array)
    key = (value.name, data.tobytes() + repr(data.shape).encode())
    if key not in constants:
        is_first = all(name != value.name for name, _ in constants)
        name = value.name if is_first else take_name(value.name, names)
        constants[key] = Value(name, TensorType(data.shape, value.dtype, value.type.quant), data)
    return constants[key]
