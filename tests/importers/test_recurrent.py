"""Recurrent layers of .tflite: state becomes variables; forms that TFLite Micro lacks are errors that say which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated

from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import Graph, Node
from chipfit.importers import load_tflite
from chipfit.ops import REGISTRY, stateful_graph_of

schema: Any = schema_py_generated

HIDDEN = 18
"""Position of the hidden state among the inputs of UNIDIRECTIONAL_SEQUENCE_LSTM; the cell state follows."""


def sample(name: str) -> Node:
    """An int8 sample of some size with zero points other than 0."""
    nodes = [n for n in REGISTRY[name].samples(np.random.default_rng(0)) if n["x"].dtype.value == "int8"]
    return nodes[4]


def changed(graph: Graph, change: Callable[[Any, Any], None]) -> bytes:
    """The graph as a .tflite after ``change`` of the schema's model and its only operator."""
    model = schema.ModelT.InitFromPackedBuf(to_tflite(graph))
    (operator,) = model.subgraphs[0].operators
    change(model, operator)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def refused(name: str, change: Callable[[Any, Any], None], words: str) -> ChipfitError:
    with pytest.raises(ChipfitError, match=words) as caught:
        load_tflite(changed(stateful_graph_of(sample(name)), change), "m")
    assert caught.value.hint
    return caught.value


def set_input(position: int, tensor: int) -> Callable[[Any, Any], None]:
    def change(model: Any, operator: Any) -> None:
        operator.inputs = [tensor if i == position else old for i, old in enumerate(operator.inputs)]

    return change


def set_option(field: str, value: Any) -> Callable[[Any, Any], None]:
    def change(model: Any, operator: Any) -> None:
        setattr(operator.builtinOptions, field, value)

    return change


def make_constant(position: int) -> Callable[[Any, Any], None]:
    def change(model: Any, operator: Any) -> None:
        model.subgraphs[0].tensors[operator.inputs[position]].isVariable = False

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_input(9, 13), "peephole"),
        (set_input(16, 5), "a projection"),
        (set_input(21, 13), "layer normalization"),
        (set_input(1, -1), "coupled"),
        (set_input(5, -1), "coupled"),
        (set_option("fusedActivationFunction", 1), "activation RELU"),
        (set_option("projClip", 0.5), "clips a projection at 0.5"),
        (set_option("diagonalRecurrentTensors", True), "diagonal"),
        (make_constant(HIDDEN), "'state_h'.*no variable tensor"),
        (make_constant(HIDDEN + 1), "'state_c'.*no variable tensor"),
    ],
)
def test_lstm_variants(change: Callable[[Any, Any], None], words: str) -> None:
    error = refused("unidirectional_sequence_lstm", change, words)
    assert error.code == "O002"
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in error.message


def test_lstm_of_the_short_form() -> None:
    def change(model: Any, operator: Any) -> None:
        operator.inputs = list(operator.inputs[:20])

    refused("unidirectional_sequence_lstm", change, "20 inputs")


@pytest.mark.parametrize(
    ("change", "words"),
    [(set_input(3, -1), "no bias"), (make_constant(4), "no variable tensor"), (set_option("rank", 0), "rank")],
)
def test_svdf_variants(change: Callable[[Any, Any], None], words: str) -> None:
    refused("svdf", change, words)


@pytest.mark.parametrize("name", ["unidirectional_sequence_lstm", "svdf"])
def test_state_begins_at_real_zero(name: str) -> None:
    node = sample(name)
    graph = load_tflite(to_tflite(stateful_graph_of(node)), "m")
    assert set(graph.variables) == {f"state_{taken}" for taken, _ in REGISTRY[name].states}
    for variable in graph.variables.values():
        assert (variable.initial == variable.type.q.zp).all()
    assert any(v.type.q.zp != 0 for v in graph.variables.values())


def test_two_layers_may_share_a_variable_tensor() -> None:
    """The second one goes on where the first one stopped, as both write the same memory in TFLite Micro."""
    node = next(n for n in REGISTRY["svdf"].samples(np.random.default_rng(0)) if n["x"].dtype.value == "int8")

    def change(model: Any, operator: Any) -> None:
        main = model.subgraphs[0]
        second = schema.OperatorT()
        second.opcodeIndex, second.inputs = operator.opcodeIndex, operator.inputs
        second.builtinOptionsType, second.builtinOptions = operator.builtinOptionsType, operator.builtinOptions
        second.outputs = [len(main.tensors)]
        copy = schema.TensorT()
        first = main.tensors[operator.outputs[0]]
        copy.shape, copy.type, copy.buffer, copy.quantization = first.shape, first.type, 0, first.quantization
        copy.name = b"again"
        main.tensors.append(copy)
        main.operators.append(second)
        main.outputs = [*main.outputs, second.outputs[0]]
        model.signatureDefs = None

    graph = load_tflite(changed(stateful_graph_of(node), change), "m")
    graph.verify()
    assert [n.op.name for n in graph.nodes] == ["read_variable", "svdf", "assign_variable"] * 2
    assert len(graph.variables) == 1
