"""Quantized SCANs: a state has one scale, ranges hold what integers come to, figures, states that are handed in."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Value
from chipfit.importers._build import GraphBuilder
from chipfit.importers._recurrent import Gate, scan, simple_rnn
from chipfit.interpret import evaluate
from chipfit.ops.scan import Scan
from chipfit.quantize import parse_recipe, quantize_graph, samples_of
from chipfit.quantize.calibrate import calibrate
from chipfit.quantize.loops import find_loops
from chipfit.quantize.measure import signal_to_noise
from chipfit.quantize.parameters import dequantize_array, quantize_array
from chipfit.quantize.sources import no_progress
from recurrent.nets import PLAIN, Kind, finished, float_samples, inputs_for, int8, network, scans_of

STEPS = 12


def real_outputs(graph: Graph, samples: list[list[Array]]) -> list[Array]:
    """Real numbers of all outputs, samples first, of float and integer graphs."""
    rows: list[list[Array]] = []
    for sample in samples:
        given = [
            x if v.dtype.is_float else quantize_array(x, v.q, v.dtype)
            for x, v in zip(sample, graph.inputs, strict=True)
        ]
        found = evaluate(graph, given)
        rows.append(
            [y if v.dtype.is_float else dequantize_array(y, v.q) for y, v in zip(found, graph.outputs, strict=True)]
        )
    return [np.stack(column) for column in zip(*rows, strict=True)]


def decibels(graph: Graph, quantized: Graph, count: int = 16) -> list[float]:
    """Of each output, on sequences that were not calibrated with."""
    samples = float_samples(graph, count, seed=99)
    pairs = zip(real_outputs(graph, samples), real_outputs(quantized, samples), strict=True)
    return [signal_to_noise(a, b) for a, b in pairs]


@cache
def made(kind: Kind, recipe: str = PLAIN) -> tuple[Graph, Graph]:
    graph = network([kind], "state", steps=STEPS, seed=6)
    return graph, int8(graph, recipe, count=12)


@pytest.mark.parametrize("kind", ["gru", "gru_before", "lstm", "rnn"])
def test_states_have_one_scale_before_and_after_a_step(kind: Kind) -> None:
    _, graph = made(kind)
    (node,) = (n for n in graph.nodes if isinstance(n.op, Scan))
    op = node.op
    assert isinstance(op, Scan)
    starts, ends = op.taken(node)[1], op.given(node)[0]
    inside = zip(op.body.inputs[op.sequences :], op.body.outputs, strict=False)
    for start, end, (before, after) in zip(starts, ends, inside, strict=True):
        assert start.type == end.type == before.type == after.type
        # the cell of an LSTM sums up without a bound
        assert end.dtype is (DType.INT16 if before.name.endswith("/c") else DType.INT8)
    assert not any(v.dtype.is_float for v in (*graph.values(), *op.body.values()))


@pytest.mark.parametrize("kind", ["gru", "gru_before", "lstm", "rnn"])
def test_int8_is_near_the_float_network(kind: Kind) -> None:
    assert min(decibels(*made(kind))) > 25.0


def test_a_rule_keeps_the_cell_of_an_lstm_in_8_bits() -> None:
    graph = network(["lstm"], "state", steps=STEPS)
    narrow = int8(graph, f"{PLAIN} ; lstm0/*: activations=int8", count=12)
    assert {v.dtype for v in narrow.outputs} == {DType.INT8}


def test_int16_is_nearer() -> None:
    for kind in ("gru", "lstm"):
        assert min(decibels(*made(kind, "int16x8 -reconstruct -bias -match -pool"))) > 44.0


def test_only_what_comes_before_a_loop_runs_to_see_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop itself runs once for that, by its steps, and not once more for what nobody asks for."""
    graph = network(["gru"], "last")
    samples = samples_of(float_samples(graph, 4), graph.inputs)
    monkeypatch.setattr("chipfit.quantize.batch.run_body", lambda *_: pytest.fail("the loop runs"))
    (loop,) = find_loops(graph, samples, parse_recipe(PLAIN), no_progress)
    np.testing.assert_array_equal(loop.operands[0], samples.arrays[0])


def test_a_sequence_of_several_layers() -> None:
    graph = network(["gru", "lstm"], "steps", steps=6, seed=8)
    assert min(decibels(graph, int8(graph, count=12))) > 30.0


def test_the_start_is_what_it_was() -> None:
    graph, quantized = made("lstm")
    for before, after in zip(graph.nodes[0].operands[1:], quantized.nodes[0].operands[1:], strict=True):
        assert (before.name, before.shape) == (after.name, after.shape)
        np.testing.assert_array_equal(after.array, quantize_array(before.array, after.q, after.dtype))


def test_states_that_are_handed_in_have_the_scale_of_the_state() -> None:
    graph = network(["gru"], "state", steps=STEPS, seed=6, given=True)
    quantized = int8(graph, count=12)
    assert [v.name for v in quantized.inputs] == ["x", "start"]
    assert quantized.inputs[1].type == quantized.outputs[0].type
    assert min(decibels(graph, quantized)) > 25.0


# ---------------------------------------------------------------------------------------------- ranges


def adding_up(steps: int) -> Graph:
    """h' = relu(x + h): a state that is only great at the end."""
    b = GraphBuilder("sum")
    gate = Gate(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32))
    cell = simple_rnn("sum", gate, lambda builder, x, name: builder.node("relu", [x], name))
    found = scan(b, "sum", b.input("x", (1, steps, 2)), [b.constant("start", np.zeros((1, 2)))], ["h"], cell, emit=None)
    return finished(b, [("y", found.ends[0])])


def test_ranges_are_those_of_whole_sequences() -> None:
    """One step from zero would reach 1 of 20."""
    graph = adding_up(20)
    samples = [[np.ones((1, 20, 2), np.float32) * np.float32(k / 8)] for k in range(1, 9)]
    found = quantize_graph(graph, samples_of(samples, graph.inputs), parse_recipe(PLAIN)).graph
    (end,) = found.outputs
    low, high = (end.q.s * (n - end.q.zp) for n in DType.INT8.range)
    assert low <= 0 < 19.5 <= high < 24
    assert abs(float(real_outputs(found, samples[-1:])[0].max()) - 20) < 1.0


def test_ranges_grow_to_what_integers_come_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the float network are halved here: the states of the integer network show that they do not suffice."""
    calls: list[int] = []

    def narrow(*args: Any, **options: Any) -> Any:
        found = calibrate(*args, **options)
        calls.append(1)
        if len(calls) > 1:
            return found
        halved = {v: dataclasses.replace(r, low=r.low / 2, high=r.high / 2) for v, r in found.ranges.items()}
        return dataclasses.replace(found, ranges=halved)

    monkeypatch.setattr("chipfit.quantize.loops.calibrate", narrow)
    graph = adding_up(20)
    samples = [[np.ones((1, 20, 2), np.float32) * np.float32(k / 8)] for k in range(1, 9)]
    found = quantize_graph(graph, samples_of(samples, graph.inputs), parse_recipe(PLAIN)).graph
    (end,) = found.outputs
    assert 2 <= len(calls) <= 5
    assert end.q.s * (127 - end.q.zp) > 11.5


def test_integers_come_to_no_end_of_their_range() -> None:
    """The states of the integer network, which are not those of the float network, fit into its ranges."""
    for kind in ("gru", "lstm", "rnn"):
        graph, quantized = made(kind)
        (op,) = scans_of(quantized)
        states: list[list[Array]] = []

        def run(inputs: list[Array], body: Graph = op.body, seen: list[list[Array]] = states) -> list[Array]:
            seen.append(inputs[1:])
            return list(evaluate(body, inputs))

        for (x,) in float_samples(graph, 12):
            value = quantized.inputs[0]
            stored = [quantize_array(x, value.q), *(v.array for v in quantized.nodes[0].operands[1:])]
            op.scan(stored, run, 1)
        for column in zip(*states, strict=True):
            elements = np.concatenate(column).reshape(-1)
            assert np.mean((elements == 127) | (elements == -128)) < 0.02


# ---------------------------------------------------------------------------------------------- loops in loops


def nested() -> Graph:
    """For each row a loop over its pixels; what it comes to is a step of the outer loop."""
    rng = np.random.default_rng(3)

    def gate(width: int, units: int) -> Gate:
        kernel, recurrent = rng.normal(0, 0.6, (units, width)), rng.normal(0, 0.4, (units, units))
        return Gate(kernel.astype(np.float32), recurrent.astype(np.float32), np.full(units, 0.1, np.float32))

    inner, outer = gate(3, 4), gate(4, 3)

    def tanh(builder: GraphBuilder, x: Value, name: str) -> Value:
        return builder.node("tanh", [x], name)

    def cell(body: GraphBuilder, xs: list[Value], states: list[Value]) -> tuple[list[Value], list[Value]]:
        start = body.constant("row/start", np.zeros((1, 4)))
        row = scan(body, "row", xs[0], [start], ["h"], simple_rnn("row", inner, tanh), emit=None)
        return simple_rnn("picture", outer, tanh)(body, row.ends, states)

    b = GraphBuilder("nested")
    x, start = b.input("x", (1, 4, 5, 3)), b.constant("start", np.zeros((1, 3)))
    found = scan(b, "picture", x, [start], ["h"], cell, emit=0)
    assert found.sequence is not None
    return finished(b, [("end", found.ends[0]), ("steps", found.sequence)])


def test_loops_in_loops() -> None:
    graph = nested()
    (op,) = scans_of(graph)
    assert len(scans_of(op.body)) == 1
    quantized = int8(graph, count=12)
    assert min(decibels(graph, quantized)) > 30.0
    (op,) = scans_of(quantized)
    (inside,) = scans_of(op.body)
    assert not any(v.dtype.is_float for v in inside.body.values())


def test_weights_of_bodies_can_be_small_alone() -> None:
    graph = network(["lstm"], "last", steps=4)
    found = quantize_graph(graph, None, parse_recipe("dynamic")).graph
    assert found.inputs[0].dtype.is_float
    assert any(v.dtype is DType.INT8 for v in scans_of(found)[0].body.values())
    x = inputs_for(graph)
    assert signal_to_noise(evaluate(graph, x)[0], evaluate(found, x)[0]) > 25.0


def test_without_samples_there_are_no_ranges() -> None:
    with pytest.raises(ChipfitError) as caught:
        quantize_graph(network(["gru"], "last"), None, parse_recipe("int8"))
    assert caught.value.code == "Q001"
