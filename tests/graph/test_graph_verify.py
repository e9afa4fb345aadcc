"""Graph.verify: each of its rules has a graph that breaks it, and the message names what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Graph, Node, TensorType, Value, Variable
from chipfit.ops.assign_variable import AssignVariable
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.read_variable import ReadVariable
from chipfit.ops.reshape import Reshape
from chipfit.ops.split import Split

PAIR = TensorType((2,), DType.INT8)


def pair(name: str) -> Value:
    return Value(name, PAIR)


def good() -> Graph:
    """x -> reshape -> y -> reshape -> z, beside a constant and a variable that is read and written."""
    x, y, z, old, joined = pair("x"), pair("y"), pair("z"), pair("old"), Value("joined", TensorType((6,), DType.INT8))
    c = Value("c", PAIR, np.zeros(2, np.int8))
    nodes = [
        Node(Reshape((2,)), [x], [y]),
        Node(Reshape((2,)), [y], [z]),
        Node(ReadVariable("s"), [], [old]),
        Node(Concatenation(0), [z, c, old], [joined]),
        Node(AssignVariable("s"), [z], []),
    ]
    return Graph("g", [x], [joined], nodes, {"s": Variable("s", PAIR, np.zeros(2, np.int8))})


def test_a_good_graph_passes() -> None:
    good().verify()


def rename(g: Graph) -> None:
    g.nodes[1].outputs[0].name = "x"


def wrong_constant_shape(g: Graph) -> None:
    value = g.nodes[3].inputs[1]
    assert value is not None
    value.data = np.zeros(3, np.int8)


def wrong_constant_dtype(g: Graph) -> None:
    value = g.nodes[3].inputs[1]
    assert value is not None
    value.data = np.zeros(2, np.uint8)


def swap_order(g: Graph) -> None:
    g.nodes[0], g.nodes[1] = g.nodes[1], g.nodes[0]


def foreign_operand(g: Graph) -> None:
    g.nodes[1].inputs = [pair("from nowhere")]


def produce_twice(g: Graph) -> None:
    g.nodes.insert(2, Node(Reshape((2,)), [g.inputs[0]], [g.nodes[0].outputs[0]]))


def produce_an_input(g: Graph) -> None:
    g.nodes.append(Node(Reshape((2,)), [g.nodes[0].outputs[0]], [g.inputs[0]]))


def produce_a_constant(g: Graph) -> None:
    constant = g.nodes[3].inputs[1]
    assert constant is not None
    g.nodes.append(Node(Reshape((2,)), [g.inputs[0]], [constant]))


def too_many_inputs(g: Graph) -> None:
    g.nodes[0].inputs.append(g.inputs[0])


def too_few_inputs(g: Graph) -> None:
    g.nodes[0].inputs = []


def absent_input(g: Graph) -> None:
    g.nodes[0].inputs = [None]


def too_many_outputs(g: Graph) -> None:
    g.nodes[0].outputs.append(pair("more"))


def outputs_that_the_operator_lacks(g: Graph) -> None:
    g.nodes.append(Node(Split(0, (1, 1)), [g.inputs[0]], [Value("half", TensorType((1,), DType.INT8))]))


def unknown_variable(g: Graph) -> None:
    g.variables.clear()


def variable_of_another_type(g: Graph) -> None:
    g.variables["s"] = Variable("s", TensorType((2,), DType.UINT8), np.zeros(2, np.uint8))


def wrong_initial_elements(g: Graph) -> None:
    g.variables["s"].initial = np.zeros(3, np.int8)


def output_from_nowhere(g: Graph) -> None:
    g.outputs.append(pair("never"))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (rename, "two tensors are named 'x'"),
        (wrong_constant_shape, r"'c' is int8\[2\] but its data is int8\[3\]"),
        (wrong_constant_dtype, r"'c' is int8\[2\] but its data is uint8\[2\]"),
        (swap_order, "reads 'y' before it is produced"),
        (foreign_operand, "reads 'from nowhere' before it is produced"),
        (produce_twice, "'y' is produced twice"),
        (produce_an_input, "'x' is produced twice"),
        (produce_a_constant, "'c' is produced twice"),
        (too_many_inputs, "has 2 inputs, its ports are x"),
        (too_few_inputs, "has 0 inputs"),
        (absent_input, "lacks its input x"),
        (too_many_outputs, "has 2 outputs, its ports are y"),
        (outputs_that_the_operator_lacks, "has 1 outputs, its operator makes 2"),
        (unknown_variable, "names the variable 's', which does not exist"),
        (variable_of_another_type, r"'old' is int8\[2\], the variable is uint8\[2\]"),
        (wrong_initial_elements, r"'s' is int8\[2\] but its data is int8\[3\]"),
        (output_from_nowhere, "graph output 'never' is never produced"),
    ],
)
def test_a_broken_rule_is_reported(break_it: Callable[[Graph], None], message: str) -> None:
    graph = good()
    break_it(graph)
    with pytest.raises(ChipfitError, match=message) as caught:
        graph.verify()
    assert caught.value.code == "G001"


def test_shapes_that_the_operator_does_not_infer() -> None:
    graph = good()
    graph.nodes[1].outputs[0].type = TensorType((2, 1), DType.INT8)
    with pytest.raises(ChipfitError, match=r"output has shape \[2, 1\], but its inputs int8\[2\] give \[2\]") as caught:
        graph.verify()
    assert caught.value.code == "G003"


def test_inputs_that_do_not_fit_the_operator() -> None:
    graph = good()
    graph.nodes[0].op = Reshape((3,))
    with pytest.raises(ChipfitError, match="has not the size of") as caught:
        graph.verify()
    assert caught.value.code == "G003"


def test_what_the_operator_has_no_definition_for() -> None:
    graph = good()
    graph.nodes[0].outputs[0].type = TensorType((2,), DType.INT16)
    with pytest.raises(ChipfitError, match="reshape") as caught:
        graph.verify()
    assert caught.value.code == "O002"
