"""fold_constants: what depends on no input becomes a constant."""

from __future__ import annotations

import numpy as np

from chipfit.graph import DType, TensorType, Value
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.dequantize import Dequantize
from chipfit.ops.pad import Pad
from chipfit.ops.relu import Relu
from chipfit.ops.reshape import Reshape
from chipfit.ops.shape import Shape
from chipfit.passes import FOLD_CONSTANTS
from passes.chains import Builder, ops_of


def test_a_chain_of_constants_is_one_constant() -> None:
    b = Builder()
    x, c = b.input(3, 2), b.constant(2)
    folded = b.add(Reshape((1, 4)), b.add(Pad(((1, 1),), 5), c))
    shaped = b.add(Reshape((3, 4)), b.add(Concatenation(0), folded, folded, folded))
    graph = b.done(b.add(Concatenation(1), x, shaped))
    report = FOLD_CONSTANTS.run(graph)
    assert ops_of(graph) == ["concatenation"]
    assert report.changes[0] == "computed pad 't0'"
    row = [5, *c.array, 5]
    np.testing.assert_array_equal(graph.nodes[0].operands[1].array, [row] * 3)


def test_the_shape_of_any_tensor_is_a_constant() -> None:
    b = Builder()
    x, other = b.input(3, 2), Value("other", TensorType((2,), DType.INT32))
    b.graph.inputs.append(other)
    shape = b.add(Shape(), x, type=other.type)
    graph = b.done(b.add(Concatenation(0), shape, other))
    FOLD_CONSTANTS.run(graph)
    assert ops_of(graph) == ["concatenation"]
    np.testing.assert_array_equal(graph.nodes[0].operands[0].array, [3, 2])


def test_half_precision_weights_become_float32() -> None:
    b = Builder(is_float=True)
    half = Value("half", TensorType((3,), DType.FLOAT16), np.array([0.5, -2.0, 1e-4], np.float16))
    weights = b.add(Dequantize(), half, type=b.type())
    graph = b.done(b.add(Concatenation(0), b.input(2), weights))
    FOLD_CONSTANTS.run(graph)
    np.testing.assert_array_equal(graph.nodes[0].operands[1].array, half.array.astype(np.float32))


def test_state_is_no_constant() -> None:
    b = Builder()
    b.state("s", b.type(2))
    graph = b.done(b.add(Relu(), b.read("s")))
    assert FOLD_CONSTANTS.run(graph).changes == []
    assert ops_of(graph) == ["read_variable", "relu"]


def test_a_graph_output_is_left_to_the_run() -> None:
    b = Builder()
    graph = b.done(b.add(Reshape((2, 1)), b.constant(2)))
    report = FOLD_CONSTANTS.run(graph)
    assert ops_of(graph) == ["reshape"]
    assert [m.reason for m in report.missed] == ["is an output of the graph, which must be written by a run"]


def test_a_huge_result_is_left_to_the_run() -> None:
    b = Builder()
    huge = b.add(Pad(((0, (64 << 20) + 1),)), b.constant(1))
    graph = b.done(b.add(Concatenation(0), b.input(1), huge))
    report = FOLD_CONSTANTS.run(graph)
    assert ops_of(graph) == ["pad", "concatenation"]
    assert [m.reason for m in report.missed] == ["would be a constant of more than 64 MiB"]
