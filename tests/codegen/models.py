"""Small models made for these tests."""

from __future__ import annotations

import numpy as np

from chipfit.graph import DType, Graph, Node, Quant, TensorType, Value, Variable
from chipfit.ops.add import Add
from chipfit.ops.assign_variable import AssignVariable
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.read_variable import ReadVariable

Q = Quant.per_tensor(0.5, 3)


def int8(name: str, *shape: int) -> Value:
    return Value(name, TensorType(shape, DType.INT8, Q))


def running_sum(initial: tuple[int, ...] = (3, 3, 3, 3)) -> Graph:
    """y = state = state + x, on 4 elements."""
    x, old, new = int8("x", 1, 4), int8("old", 1, 4), int8("sum", 1, 4)
    nodes = [
        Node(ReadVariable("total"), [], [old]),
        Node(Add(), [x, old], [new]),
        Node(AssignVariable("total"), [new], []),
    ]
    state = Variable("total", old.type, np.array([initial], np.int8))
    return Graph("running sum", [x], [new], nodes, {"total": state})


def two_equal_layers(*names: str) -> Graph:
    """Two fully connected layers with the same weights, side by side; ``names`` of model, input, layer and output."""
    model, name, layer, out = names
    x, y = int8(name, 1, 8), int8(out, 1, 8)
    a, b = int8(layer, 1, 4), int8(f"{layer} again", 1, 4)
    weights = np.arange(-16, 16, dtype=np.int8).reshape(4, 8)
    w = [Value(f"w{i}{layer}", TensorType((4, 8), DType.INT8, Quant.per_tensor(0.01)), weights.copy()) for i in (0, 1)]
    nodes = [
        Node(FullyConnected(), [x, w[0], None], [a]),
        Node(FullyConnected(), [x, w[1], None], [b]),
        Node(Concatenation(1), [a, b], [y]),
    ]
    graph = Graph(model, [x], [y], nodes)
    graph.verify()
    return graph
