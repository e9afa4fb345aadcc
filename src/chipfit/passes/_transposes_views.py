"""Reshapes in another order of axes, and the dense layers around them.

A reshape that flattens an image has no order of axes behind it in which channels come last. But where dense layers read
it, the order of its elements is the order of the columns of their weights. The same holds for their rows where a
reshape makes an image of what they give.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from chipfit.graph import Array, Node, OpBase, Quant, TensorType, Value
from chipfit.graph.rewrite import Uses
from chipfit.ops._view import View
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.reshape import Reshape
from chipfit.passes._transposes_orders import Order, identity, reshaped, scrambled, stored_shape
from chipfit.passes._transposes_rules import ELEMENTWISE, RULES, Carried, Edit, Rule


def _taken(value: Value, axis: int, index: Array) -> Value:
    """A constant with its elements along an axis in another order; its scales, where they count along it, too."""
    quant = value.type.quant
    if quant is not None and quant.axis == axis:
        scales, zeros = (tuple(numbers[i] for i in index) for numbers in (quant.scale, quant.zero_point))
        quant = Quant(scales, zeros, axis)
    data = np.ascontiguousarray(value.array.take(index, axis))
    return Value(value.name, TensorType(data.shape, value.dtype, quant), data)


def _view(node: Node, known: Mapping[Value, Order], uses: Uses) -> Carried | None:
    x, y = node["x"], node["y"]
    if x in known:
        of_y = reshaped(x.shape, y.shape, known[x])
        if of_y is None:
            return _flatten(node, known[x], uses)
        return Carried(Reshape(stored_shape(y.shape, of_y)), {x: known[x], y: of_y})
    of_x = reshaped(y.shape, x.shape, known[y])
    if of_x is None:
        return _unflatten(node, known[y], uses)
    return Carried(Reshape(stored_shape(y.shape, known[y])), {x: of_x, y: known[y]})


def _dense(node: Node, known: Mapping[Value, Order], uses: Uses) -> Carried | None:
    """Rows of x in any order where the layer keeps its axes; else elements inside of rows, where weights are known."""
    op, x, y, w = node.op, node["x"], node["y"], node["w"]
    assert isinstance(op, FullyConnected)
    value, order = next(iter(known.items()))
    if not w.is_const:
        return None
    if op.keep_dims and order[-1] == len(order) - 1:
        return Carried(op, {x: order, y: order})
    index = scrambled(x.shape, order, w.shape[1]) if value is x and not op.keep_dims else None
    if index is None:
        return None
    return Carried(op, {x: order, y: identity(len(y.shape))}, {(node, 1): partial(_taken, axis=1, index=index)})


# ---------------------------------------------------------------------------------------------- flat images


def _flatten(node: Node, order: Order, uses: Uses) -> Carried | None:
    """A reshape into rows that only dense layers read, perhaps through element-wise operators."""
    x, y = node["x"], node["y"]
    index = scrambled(x.shape, order, y.shape[-1]) if y.shape else None
    if index is None:
        return None
    edits, inside = dict[tuple[Node, int], Edit](), [y]
    for value in inside:
        readers = uses.readers(value)
        if value in uses.outputs or not readers:
            return None
        for reader in readers:
            if isinstance(reader.op, FullyConnected):
                if not _is_dense(reader, value) or reader["w"].shape[1] != len(index):
                    return None
                edits[reader, 1] = partial(_taken, axis=1, index=index)
            elif not _takes_rows(reader, value, index, edits):
                return None
            else:
                inside.append(reader.outputs[0])
    return Carried(Reshape(y.shape), {x: order}, edits, tuple(inside))


def _unflatten(node: Node, order: Order, uses: Uses) -> Carried | None:
    """A reshape of rows that a dense layer gives, perhaps through element-wise operators, and nothing else reads."""
    x, y = node["x"], node["y"]
    index = scrambled(y.shape, order, x.shape[-1]) if x.shape else None
    if index is None:
        return None
    edits, inside, reader = dict[tuple[Node, int], Edit](), [x], node
    for value in inside:
        producer = uses.producer(value)
        if producer is None or uses.only_reader(value) is not reader:
            return None
        reader = producer
        if isinstance(producer.op, FullyConnected):
            if not _is_dense(producer, producer["x"]) or producer["w"].shape[0] != len(index):
                return None
            ports = [i for i, v in enumerate(producer.inputs) if i and v is not None]
            edits.update(((producer, i), partial(_taken, axis=0, index=index)) for i in ports)
            break
        variable = [v for v in dict.fromkeys(producer.operands) if not v.is_const]
        if len(variable) != 1 or not _takes_rows(producer, variable[0], index, edits):
            return None
        inside.append(variable[0])
    return Carried(Reshape(stored_shape(y.shape, order)), {y: order}, edits, tuple(inside))


def _is_dense(node: Node, x: Value) -> bool:
    """A layer that multiplies rows of x with constant weights."""
    return x is node["x"] and all(v.is_const for v in node.operands[1:])


def _takes_rows(node: Node, x: Value, index: Array, edits: dict[tuple[Node, int], Edit]) -> bool:
    """Whether a node computes each element of x by itself, with constants for each column or for all of them."""
    y = node.outputs[0] if node.outputs else None
    if not isinstance(node.op, ELEMENTWISE) or y is None or y.shape != x.shape:
        return False
    for i, operand in enumerate(node.inputs):
        if operand is x or operand is None:
            continue
        if not operand.is_const or (operand.type.quant is not None and operand.type.quant.axis is not None):
            return False
        if operand.shape and operand.shape[-1] != 1:
            edits[node, i] = partial(_taken, axis=len(operand.shape) - 1, index=index)
    return True


ALL_RULES: dict[type[OpBase], Rule] = {**RULES, View: _view, FullyConnected: _dense}
"""RULES with those for reshapes and dense layers."""
