"""SCAN: its meaning against a loop in numpy, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Node, Quant, TensorType, Value, Variable
from chipfit.interpret import evaluate
from chipfit.ops import graph_of, op_of
from chipfit.ops.add import Add
from chipfit.ops.mul import Mul
from chipfit.ops.read_variable import ReadVariable
from chipfit.ops.scan import Scan


def real(name: str, *shape: int) -> Value:
    return Value(name, TensorType(shape, DType.FLOAT32))


def body() -> Graph:
    """Of steps a and b (1, 2) and states s and t (1, 2): s' = s + a, t' = t * b, and s' + t' beside them."""
    a, b, s, t = (real(name, 1, 2) for name in "abst")
    s_next, t_next, both = real("s_next", 1, 2), real("t_next", 1, 2), real("both", 1, 2)
    nodes = [Node(Add(), [s, a], [s_next]), Node(Mul(), [t, b], [t_next]), Node(Add(), [s_next, t_next], [both])]
    return Graph("body", [a, b, s, t], [s_next, t_next, both], nodes)


def node_of(steps: int = 3, **changes: Any) -> Node:
    op = dataclasses.replace(Scan(body(), 2, (2, 0)), **changes)
    inputs: list[Value | None] = [real("as", 1, steps, 2), real("bs", 1, steps, 2), real("s0", 1, 2), real("t0", 1, 2)]
    node = Node(op, inputs, [])
    names = ["s_end", "t_end", *(f"ys{i}" for i in op.emitted)]
    node.outputs = [real(n, *shape) for n, shape in zip(names, op.infer(node), strict=True)]
    return node


def numpy_scan(a: Array, b: Array, s: Array, t: Array, order: range) -> tuple[Array, Array, Array, Array]:
    """What the body of these tests makes of sequences: both ends, the sequence of sums, the sequence of s."""
    both, states = np.zeros_like(a), np.zeros_like(a)
    for i in order:
        s, t = s + a[:, i], t * b[:, i]
        both[:, i], states[:, i] = s + t, s
    return s, t, both, states


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_against_a_loop(steps: int, backward: bool) -> None:
    rng = np.random.default_rng(steps)
    node = node_of(steps, backward=backward)
    inputs = [rng.normal(size=v.shape).astype(np.float32) for v in node.operands]
    order = range(steps - 1, -1, -1) if backward else range(steps)
    expected = numpy_scan(inputs[0], inputs[1], inputs[2], inputs[3], order)
    graph = graph_of(node)
    graph.verify()
    for y, e in zip(evaluate(graph, inputs), expected, strict=True):
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, e)


def test_steps_may_have_several_axes_or_none() -> None:
    for shape in ((), (2, 3)):
        x, part, doubled = real("x", 1, 4, *shape), real("part", 1, *shape), real("doubled", 1, *shape)
        inner = Graph("body", [part], [doubled], [Node(Add(), [part, part], [doubled])])
        node = Node(Scan(inner, 1, (0,)), [x], [real("ys", 1, 4, *shape)])
        graph = graph_of(node)
        graph.verify()
        data = np.arange(x.type.size, dtype=np.float32).reshape(x.shape)
        np.testing.assert_array_equal(evaluate(graph, [data])[0], 2 * data)


def test_facts_about_a_node() -> None:
    node = node_of(steps=5)
    op = node.op
    assert isinstance(op, Scan)
    assert (op.state_count, op.steps(node)) == (2, 5)
    assert [v.name for v in op.taken(node)[0]] == ["as", "bs"]
    assert [v.name for v in op.taken(node)[1]] == ["s0", "t0"]
    assert [v.name for v in op.given(node)[0]] == ["s_end", "t_end"]
    assert [v.name for v in op.given(node)[1]] == ["ys2", "ys0"]
    samples = list(Scan.samples(np.random.default_rng(0)))
    assert {op_of(n).macs(n) for n in samples} == {1 * 3 * 2, 5 * 4 * 7}


# ---------------------------------------------------------------------------------------------- refusals


def why(node: Node) -> tuple[str, str]:
    with pytest.raises(ChipfitError) as caught:
        graph_of(node).verify()
    return caught.value.code, caught.value.message


def with_input(index: int, value: Value) -> Node:
    node = node_of()
    node.inputs[index] = value
    return node


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (lambda: with_input(0, real("as", 1, 4, 2)), "with as many steps"),
        (lambda: with_input(0, real("as", 2, 3, 2)), "sequences have the shape [1, steps, ...]"),
        (lambda: with_input(0, real("as", 1)), "sequences have the shape [1, steps, ...]"),
        (lambda: with_input(1, real("bs", 1, 3, 5)), "is no 'b' (float32[1,2]) of its body"),
        (lambda: with_input(3, real("t0", 1, 5)), "is no 't' (float32[1,2]) of its body"),
    ],
)
def test_shapes_that_do_not_fit(node: Any, said: str) -> None:
    code, message = why(node())
    assert code == "G003"
    assert said in message


def test_ports_that_do_not_fit() -> None:
    node = node_of()
    node.inputs.append(real("more", 1, 2))
    assert "5 inputs for a body of 4" in why(node)[1]
    for changes in ({"emitted": (3,)}, {"emitted": (-1,)}):
        node = node_of()
        node.op = dataclasses.replace(node.op, **changes)
        assert why(node) == ("G003", "scan: its body has 3 outputs, too few")
    node = node_of()
    node.op = dataclasses.replace(node.op, sequences=0)
    assert why(node)[0] == "G003"
    node = node_of()
    node.outputs.pop()
    assert why(node) == ("G003", "scan: 3 outputs, its body gives 4")


def test_a_state_keeps_its_shape() -> None:
    node = node_of()
    op = node.op
    assert isinstance(op, Scan)
    longer, four = real("longer", 4, 2), Value("c", TensorType((4, 1), DType.FLOAT32), np.ones((4, 1), np.float32))
    op.body.nodes.append(Node(Add(), [op.body.inputs[2], four], [longer]))
    op.body.outputs[0] = longer
    assert why(node) == ("G003", "scan: state float32[1,2] becomes float32[4,2]")


def test_types_inside_are_those_outside() -> None:
    node = next(Scan.samples(np.random.default_rng(1)))
    op = node.op
    assert isinstance(op, Scan)
    graph_of(node).verify()
    for value in (node.operands[0], node.operands[1], node.outputs[0], node.outputs[1], node.outputs[2]):
        before = value.type
        value.type = TensorType(value.shape, value.dtype, Quant.per_tensor(0.5))
        assert why(node)[0] == "O002"
        value.type = before
    graph_of(node).verify()


def test_a_body_has_no_variables() -> None:
    node = node_of()
    op = node.op
    assert isinstance(op, Scan)
    kept = real("kept", 1, 2)
    op.body.variables["v"] = Variable("v", kept.type, np.zeros((1, 2), np.float32))
    op.body.nodes.insert(0, Node(ReadVariable("v"), [], [kept]))
    assert why(node) == ("O002", "scan 's_end': its body has variables")


def test_a_broken_body_is_found() -> None:
    node = node_of()
    op = node.op
    assert isinstance(op, Scan)
    op.body.nodes.reverse()
    assert why(node)[0] == "G001"
