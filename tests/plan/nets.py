"""Small graphs of given sizes for the tests of the planner. What the nodes compute does not matter there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from hypothesis import strategies as st

from chipfit.graph import DType, Graph, Node, Shape, TensorType, Value, Variable
from chipfit.ops import Op
from chipfit.ops.assign_variable import AssignVariable
from chipfit.ops.read_variable import ReadVariable
from chipfit.ops.reshape import Reshape


@dataclass(frozen=True)
class Work(Op):
    """Reads any tensors, writes any tensors."""

    name: ClassVar[str] = "work"
    inputs: ClassVar[tuple[str, ...]] = ("*x",)
    outputs: ClassVar[tuple[str, ...]] = ("*y",)

    def infer(self, node: Node) -> Sequence[Shape]:
        return [value.shape for value in node.outputs]


class Net:
    """Builds a graph; sizes are bytes."""

    def __init__(self) -> None:
        self.graph = Graph("net")

    def input(self, size: int) -> Value:
        value = self._value(f"in{len(self.graph.inputs)}", size)
        self.graph.inputs.append(value)
        return value

    def constant(self, size: int) -> Value:
        value = self._value("constant", size)
        value.data = np.zeros(size, np.int8)
        return value

    def work(self, reads: Sequence[Value], *sizes: int) -> list[Value]:
        n = len(self.graph.nodes)
        outputs = [self._value(f"t{n}" if len(sizes) == 1 else f"t{n}_{k}", size) for k, size in enumerate(sizes)]
        self.graph.nodes.append(Node(Work(), list(reads), outputs))
        return outputs

    def view(self, x: Value) -> Value:
        y = self._value(f"view{len(self.graph.nodes)}", x.type.size)
        self.graph.nodes.append(Node(Reshape((x.type.size,)), [x], [y]))
        return y

    def read(self, variable: str, size: int) -> Value:
        y = self._value(f"read{len(self.graph.nodes)}", size)
        self.graph.variables.setdefault(variable, Variable(variable, y.type, np.zeros(size, np.int8)))
        self.graph.nodes.append(Node(ReadVariable(variable), [], [y]))
        return y

    def assign(self, variable: str, x: Value) -> None:
        self.graph.variables.setdefault(variable, Variable(variable, x.type, np.zeros(x.shape, np.int8)))
        self.graph.nodes.append(Node(AssignVariable(variable), [x], []))

    def done(self, *outputs: Value) -> Graph:
        self.graph.outputs = list(outputs)
        return self.graph

    @staticmethod
    def _value(name: str, size: int) -> Value:
        return Value(name, TensorType((size,), DType.INT8))


def chain(*sizes: int) -> Graph:
    """An input and a node for every further size."""
    net = Net()
    value = net.input(sizes[0])
    for size in sizes[1:]:
        (value,) = net.work([value], size)
    return net.done(value)


@st.composite
def graphs(draw: st.DrawFn, max_nodes: int = 12) -> Graph:
    """Random graphs: branches, several outputs, views, variables, inputs that nobody reads or that are outputs."""
    net = Net()
    sizes = st.integers(0, 40)
    values = [net.input(draw(sizes)) for _ in range(draw(st.integers(0, 2)))]
    state = draw(sizes)
    for _ in range(draw(st.integers(0, max_nodes))):
        kind = draw(st.sampled_from(["work", "work", "work", "view", "read", "assign"]))
        if kind == "read" or not values:
            values.append(net.read("s", state))
        elif kind == "view":
            values.append(net.view(draw(st.sampled_from(values))))
        elif kind == "assign":
            (x,) = net.work([draw(st.sampled_from(values))], state)
            net.assign("s", x)
            values.append(x)
        else:
            reads = draw(st.lists(st.sampled_from([*values, net.constant(9)]), min_size=1, max_size=3))
            values += net.work(reads, *draw(st.lists(sizes, min_size=1, max_size=3)))
    return net.done(*draw(st.lists(st.sampled_from(values), max_size=3) if values else st.just([])))
