"""Random chains of moving operators, run on one memory with views: every output of every run is the reference's."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from chipfit.graph import Array, DType, Graph, Node, TensorType, Value, Variable
from chipfit.interpret import evaluate, initial_state
from chipfit.ops import Op, random_input
from chipfit.ops.assign_variable import AssignVariable
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.pack import Pack
from chipfit.ops.read_variable import ReadVariable
from chipfit.ops.reshape import Reshape
from chipfit.ops.slice import Slice
from chipfit.ops.split import Split
from chipfit.ops.strided_slice import StridedSlice
from chipfit.ops.transpose import Transpose
from chipfit.ops.unpack import Unpack
from chipfit.plan import schedule
from chipfit.plan.views import ALIGNMENT, before_assign, find_views
from plan.moves import Machine, Mix


class Builder:
    """Draws a graph of int8 matrices, most of them of 4 columns."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.graph = Graph("random")
        self.values: list[Value] = []
        for _ in range(rng.randint(1, 2)):
            self.graph.inputs.append(self.value(self.shape()))
        self.values += self.graph.inputs
        self.variables = [self.variable(f"s{k}") for k in range(rng.randint(0, 3))]

    def value(self, shape: tuple[int, ...], data: Array | None = None) -> Value:
        self.count = getattr(self, "count", 0) + 1
        return Value(f"v{self.count}", TensorType(shape, DType.INT8), data)

    def shape(self) -> tuple[int, ...]:
        return self.rng.randint(1, 4), self.rng.choice([4, 4, 4, 3])

    def variable(self, name: str) -> Variable:
        shape = self.shape()
        initial = np.array([self.rng.randint(-128, 127) for _ in range(shape[0] * shape[1])], np.int8).reshape(shape)
        variable = Variable(name, TensorType(shape, DType.INT8), initial)
        self.graph.variables[name] = variable
        return variable

    def add(self, op: Op, *inputs: Value) -> list[Value]:
        node = Node(op, list(inputs), [])
        node.outputs = [self.value(tuple(shape)) for shape in op.infer(node)]
        self.graph.nodes.append(node)
        self.values += node.outputs
        return node.outputs

    def pick(self) -> Value:
        """A matrix; late ones are likelier."""
        values = [v for v in self.values if len(v.shape) == 2 and v.type.size]
        return values[max(self.rng.randrange(len(values)), self.rng.randrange(len(values)))]

    def like(self, shape: tuple[int, ...]) -> Value:
        """A value of this shape: one that is there, or a new one."""
        values = [v for v in self.values if v.shape == shape]
        if values and self.rng.random() < 0.6:
            return self.rng.choice(values)
        return self.add(Mix(shape), self.pick())[0]

    def step(self) -> None:
        kinds = [self.mix, self.cut, self.cut, self.join, self.join, self.reshape, self.transpose]
        if self.variables:
            kinds += [self.read, self.read, self.shift, self.shift, self.assign]
        self.rng.choice(kinds)()

    def mix(self) -> None:
        self.add(Mix(self.shape()), *(self.pick() for _ in range(self.rng.randint(1, 2))))

    def reshape(self) -> None:
        x = self.pick()
        self.add(Reshape((x.shape[1], x.shape[0])), x)

    def transpose(self) -> None:
        self.add(Transpose((1, 0)), self.pick())

    def cut(self) -> None:
        x, rng = self.pick(), self.rng
        rows, columns = x.shape
        first = rng.randrange(rows)
        count = rng.randint(1, rows - first)
        kind = rng.randrange(5)
        if kind == 0:
            self.add(Slice((first, 0), (count, columns)), x)
        elif kind == 1:
            self.add(StridedSlice((first, 0), (rows, columns), (rng.randint(1, 2), 1)), x)
        elif kind == 2:
            self.add(Split(0, (first, rows - first)), x)
        elif kind == 3:
            self.add(Split(1, (1, columns - 1)), x)
        else:
            parts = self.add(Unpack(0), x)
            self.add(Pack(0), *rng.sample(parts, len(parts)))

    def join(self) -> None:
        x, rng = self.pick(), self.rng
        others = [self.like((rng.randint(1, 3), x.shape[1])) for _ in range(rng.randint(0, 2))]
        if rng.random() < 0.3:
            data = np.full((rng.randint(1, 2), x.shape[1]), rng.randint(-9, 9), np.int8)
            others.append(self.value(data.shape, data))
        parts = [x, *others]
        rng.shuffle(parts)
        self.add(Concatenation(0), *parts)

    def read(self) -> Value:
        variable = self.rng.choice(self.variables)
        y = self.value(variable.type.shape)
        self.graph.nodes.append(Node(ReadVariable(variable.name), [], [y]))
        self.values.append(y)
        return y

    def assign(self) -> None:
        variable = self.rng.choice(self.variables)
        self.graph.nodes.append(Node(AssignVariable(variable.name), [self.like(variable.type.shape)], []))

    def shift(self) -> None:
        """A whole register; its parts are there for other nodes, too."""
        variable = self.rng.choice(self.variables)
        rows, columns = variable.type.shape
        old = self.value(variable.type.shape)
        self.graph.nodes.append(Node(ReadVariable(variable.name), [], [old]))
        self.values.append(old)
        new = self.like((self.rng.randint(1, 3), columns))
        (both,) = self.add(Concatenation(0), old, new)
        (kept,) = self.add(Slice((new.shape[0], 0), (rows, columns)), both)
        self.graph.nodes.append(Node(AssignVariable(variable.name), [kept], []))
        self.add(Mix(self.shape()), self.rng.choice([both, kept, old]))

    def done(self) -> Graph:
        for _ in range(self.rng.randint(1, 10)):
            self.step()
        self.graph.outputs = self.rng.sample(self.values, min(len(self.values), self.rng.randint(1, 3)))
        self.graph.verify()
        return self.graph


def any_order(graph: Graph, rng: random.Random) -> list[Node]:
    """A random order: operands first, uses of a variable as in the file, readers of storage before it is assigned."""
    waits: dict[Node, set[Node]] = {node: set() for node in graph.nodes}
    producers, last = graph.producers(), dict[str, Node]()
    for node in graph.nodes:
        waits[node] |= {producers[v] for v in node.operands if v in producers}
        variable = node.op.attributes().get("variable")
        if variable is not None:
            waits[node] |= {last[variable]} if variable in last else set()
            last[variable] = node
    for assign, readers in before_assign(graph, find_views(graph)).items():
        waits[assign] |= set(readers)
    order: list[Node] = []
    while len(order) < len(graph.nodes):
        ready = [node for node in graph.nodes if node not in order and waits[node] <= set(order)]
        assert ready, "nodes wait for each other"
        order.append(rng.choice(ready))
    return order


@settings(deadline=None, max_examples=400)
@given(st.randoms(use_true_random=False), st.booleans())
def test_views_give_the_bytes_of_the_reference(rng: random.Random, with_reset: bool) -> None:
    """Three runs in a row; inputs are there before the reset, outputs stay while the next inputs are written."""
    graph = Builder(rng).done()
    views = find_views(graph)
    for view in views.values():
        event("in storage" if isinstance(view.root, str) else "in a value")
    assert all(at.root not in views for at in views.values())
    arrays = np.random.default_rng(rng.randrange(1 << 30))
    for order in (schedule(graph), any_order(graph, rng)):
        machine, state = Machine(graph, views, order), initial_state(graph)
        samples = [[random_input(arrays, v.type) for v in graph.inputs] for _ in range(4)]
        for run, (sample, following) in enumerate(pairwise(samples)):
            machine.spoil(arrays)
            machine.give(sample)
            if with_reset and run == 1:
                machine.reset()
                state = initial_state(graph)
            machine.run()
            expected = evaluate(graph, sample, state)
            results = [machine.read(v) for v in graph.outputs]
            for value, result, reference in zip(graph.outputs, results, expected, strict=True):
                np.testing.assert_array_equal(result, reference, err_msg=value.name)
            handed_out = [v for v in graph.outputs if v not in graph.inputs]
            before = [machine.read(v) for v in handed_out]
            machine.give(following)
            for value, result in zip(handed_out, before, strict=True):
                np.testing.assert_array_equal(machine.read(value), result, err_msg=f"{value.name}, next inputs")


@settings(deadline=None, max_examples=200)
@given(st.randoms(use_true_random=False))
def test_nothing_is_computed_at_an_odd_address(rng: random.Random) -> None:
    graph = Builder(rng).done()
    views = find_views(graph)
    for node in graph.nodes:
        if isinstance(node.op, Mix):
            touched = [*node.operands, *node.outputs]
            assert all(views[v].offset % ALIGNMENT == 0 for v in touched if v in views)
    assert all(views[v].offset % ALIGNMENT == 0 for v in (*graph.inputs, *graph.outputs) if v in views)
