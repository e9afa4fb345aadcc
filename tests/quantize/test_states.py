"""Models of one step: quantized on sequences, with one scale for a state before and after; single steps are refused."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit import ChipfitError, Model, quantize_model
from chipfit.graph import Array, Graph
from chipfit.recurrent import deploy
from recurrent.nets import PLAIN, network

STEPS = 6


def step_model() -> Graph:
    """Input 'x' [1, 1, 3] and the states of an LSTM, handed in and out."""
    return deploy(network(["lstm"], "last", steps=STEPS), "step", "io")


def sequences(graph: Graph, count: int = 40) -> Array:
    rng = np.random.default_rng(1)
    return rng.normal(size=(count, STEPS, *graph.inputs[0].shape[1:])).astype(np.float32)


def pairs(graph: Graph) -> dict[str, str]:
    return {v.name: v.name.replace("_in", "_out") for v in graph.inputs[1:]}


def test_a_state_has_one_scale_and_the_step_is_near() -> None:
    graph = step_model()
    states = pairs(graph)
    assert len(states) == 2
    made = quantize_model(Model(graph), sequences(graph), PLAIN, states=states)
    integer = made.model.graph
    types = {v.name: v.type for v in (*integer.inputs, *integer.outputs)}
    assert [v.name for v in integer.inputs] == [v.name for v in graph.inputs]
    assert [v.name for v in integer.outputs] == [v.name for v in graph.outputs]
    for given, taken in states.items():
        assert types[given] == types[taken]
        assert types[given].q.s > 1e-6
    assert made.report.result is not None
    assert made.report.result.sqnr is not None
    assert made.report.result.sqnr > 20


def test_ranges_are_those_of_later_steps() -> None:
    """A cell state that grows: what it is after the first step would clip what comes."""
    graph = step_model()
    long = quantize_model(Model(graph), sequences(graph), PLAIN, states=pairs(graph)).model.graph
    short = quantize_model(Model(graph), sequences(graph)[:, :2], PLAIN, states=pairs(graph)).model.graph
    cell = next(i for i, v in enumerate(graph.inputs) if v.name.endswith("c_in"))
    assert long.inputs[cell].q.s > 1.05 * short.inputs[cell].q.s


def test_variables_stay_variables() -> None:
    graph = deploy(network(["gru"], "last", steps=STEPS), "step", "kept")
    made = quantize_model(Model(graph), sequences(graph), PLAIN)
    (variable,) = made.model.graph.variables.values()
    assert (variable.type.dtype.value, variable.initial.dtype) == ("int8", np.int8)
    (real,) = graph.variables.values()
    steps = np.abs(real.initial / variable.type.q.s - (variable.initial.astype(int) - variable.type.q.zp))
    assert steps.max() <= 0.5 + 1e-3
    runs = made.model.run_samples([(x,) for x in np.zeros((3, *graph.inputs[0].shape), np.int8)])[0]
    assert len(np.unique(runs, axis=0)) > 1, "the state must go on from call to call"


def test_single_steps_are_refused() -> None:
    graph = step_model()
    x = sequences(graph)
    with pytest.raises(ChipfitError, match="never be anything but what a sequence begins with") as error:
        quantize_model(Model(graph), x[:, :1], PLAIN, states=pairs(graph))
    assert error.value.code == "Q002"


def test_zeros_for_what_seems_a_state_are_refused() -> None:
    graph = step_model()
    x = sequences(graph)[:, 0]
    arrays = {v.name: np.zeros((len(x), *v.shape), np.float32) for v in graph.inputs[1:]}
    with pytest.raises(ChipfitError, match="zero in all samples") as error:
        quantize_model(Model(graph), {graph.inputs[0].name: x, **arrays}, PLAIN)
    assert error.value.code == "Q002"


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({"none": "lstm0/h_out"}, "there is no input 'none'"),
        ({"lstm0/h_in": "none"}, "there is no output 'none'"),
    ],
)
def test_names_that_are_none(states: dict[str, str], words: str) -> None:
    graph = step_model()
    with pytest.raises(ChipfitError, match=words) as error:
        quantize_model(Model(graph), sequences(graph), PLAIN, states=states)
    assert error.value.code == "U001"
