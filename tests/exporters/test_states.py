"""State of recurrent layers in .tflite files: what their variable tensors can hold, and what they cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated

from chipfit import oracle
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import DType, Graph, Node
from chipfit.interpret import evaluate, initial_state
from chipfit.ops import REGISTRY, graph_of, random_input, stateful_graph_of
from oracles import needs_litert, needs_tflm

schema: Any = schema_py_generated
NAMES = ["unidirectional_sequence_lstm", "svdf"]


def samples(name: str, dtype: DType = DType.INT8) -> list[Node]:
    return [n for n in REGISTRY[name].samples(np.random.default_rng(4)) if n["x"].dtype is dtype]


def refused(graph: Graph, words: str) -> None:
    with pytest.raises(ChipfitError, match=words) as caught:
        to_tflite(graph)
    assert caught.value.code == "O002"
    assert caught.value.hint


@pytest.mark.parametrize("name", NAMES)
def test_only_state_tensors_are_variables(name: str) -> None:
    model = schema.ModelT.InitFromPackedBuf(to_tflite(stateful_graph_of(samples(name)[1])))
    (main,) = model.subgraphs
    assert len(main.operators) == 1
    variables = [t.name.decode() for t in main.tensors if t.isVariable]
    assert variables == sorted(f"state_{taken}" for taken, _ in REGISTRY[name].states)


@pytest.mark.parametrize("name", NAMES)
def test_state_from_an_input(name: str) -> None:
    refused(graph_of(samples(name)[1]), "is not from a variable of its own")


@pytest.mark.parametrize("name", NAMES)
def test_state_that_begins_elsewhere(name: str) -> None:
    graph = stateful_graph_of(samples(name)[1])
    variable = next(iter(graph.variables.values()))
    variable.initial = variable.initial + np.ones_like(variable.initial)
    refused(graph, "begins with other elements than zeros")


@pytest.mark.parametrize("name", NAMES)
def test_state_that_is_an_output(name: str) -> None:
    graph = stateful_graph_of(samples(name)[1])
    graph.outputs.append(graph.nodes[-1].operands[0])
    refused(graph, "is not from a variable of its own")


@needs_tflm
@pytest.mark.parametrize(("name", "dtype"), [(NAMES[0], DType.INT8), (NAMES[0], DType.INT16), (NAMES[1], DType.INT8)])
def test_many_runs_on_tflite_micro(name: str, dtype: DType) -> None:
    """More runs than the longest memory of the samples; the states of SVDF are int8 and int16."""
    rng = np.random.default_rng(8)
    assert samples(name, dtype)
    for node in samples(name, dtype):
        graph = stateful_graph_of(node)
        inputs = [[random_input(rng, v.type) for v in graph.inputs] for _ in range(14)]
        state = initial_state(graph)
        for sample, (expected,) in zip(inputs, oracle.tflm_run(to_tflite(graph), inputs), strict=True):
            np.testing.assert_array_equal(evaluate(graph, sample, state)[0], expected)


@needs_litert
@pytest.mark.parametrize("name", NAMES)
def test_float_state_on_litert(name: str) -> None:
    rng = np.random.default_rng(8)
    for node in samples(name, DType.FLOAT32):
        graph = stateful_graph_of(node)
        inputs = [[random_input(rng, v.type) for v in graph.inputs] for _ in range(14)]
        state = initial_state(graph)
        for sample, (expected,) in zip(inputs, oracle.litert_run(to_tflite(graph), inputs), strict=True):
            got = evaluate(graph, sample, state)[0]
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
