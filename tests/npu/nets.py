"""Small integer networks for an Ethos-U, and for its processor."""

from __future__ import annotations

import numpy as np

from chipfit.graph import DType, Graph, Node, Quant, TensorType, Value, Variable
from chipfit.ops.add import Add
from chipfit.ops.assign_variable import AssignVariable
from chipfit.ops.dequantize import Dequantize
from chipfit.ops.mean import Mean
from chipfit.ops.quantize import Quantize
from chipfit.ops.read_variable import ReadVariable
from chipfit.ops.relu import Relu

Q = Quant.per_tensor(0.1, 3)


def value(name: str, *shape: int, dtype: DType = DType.INT8, quant: Quant | None = Q) -> Value:
    return Value(name, TensorType(shape, dtype, quant))


def summing() -> Graph:
    """y = relu(x + state), which is the next state."""
    x, old, new, y = (value(name, 1, 4) for name in ("x", "old", "new", "y"))
    nodes = [
        Node(ReadVariable("kept"), [], [old]),
        Node(Add(), [x, old], [new]),
        Node(AssignVariable("kept"), [new], []),
        Node(Relu(), [new], [y]),
    ]
    graph = Graph("summing", [x], [y], nodes, {"kept": Variable("kept", x.type, np.full((1, 4), 3, np.int8))})
    graph.verify()
    return graph


def mean(size: int, *, batch: int = 1, keep: bool = False) -> Graph:
    shape = (batch, 1, 1, 4) if keep else (batch, 4)
    x, y = value("x", batch, size, size, 4), value("y", *shape)
    return Graph("mean", [x], [y], [Node(Mean(axes=(1, 2), keep_dims=keep), [x], [y])])


def with_float_ends(inner: Graph) -> Graph:
    (x,), (y,) = inner.inputs, inner.outputs
    first = value("in", *x.shape, dtype=DType.FLOAT32, quant=None)
    last = value("out", *y.shape, dtype=DType.FLOAT32, quant=None)
    nodes = [Node(Quantize(), [first], [x]), *inner.nodes, Node(Dequantize(), [y], [last])]
    graph = Graph(inner.name, [first], [last], nodes)
    graph.verify()
    return graph
