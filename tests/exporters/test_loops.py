"""SCAN as WHILE: foreign interpreters run it with the same bytes, and reading it gives the SCAN back."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit import ChipfitError, Model
from chipfit.exporters import to_tflite
from chipfit.graph import DType, Graph
from chipfit.importers import load_graph
from chipfit.ops import REGISTRY, graph_of
from chipfit.ops.scan import Scan
from oracles import litert_run, needs_litert, needs_tflm, tflm_run
from recurrent.nets import int8, network


def samples() -> list[Graph]:
    """One for each element type and direction, of several steps."""
    nodes = list(REGISTRY["scan"].samples(np.random.default_rng(3)))
    return [graph_of(n) for n in nodes if isinstance(n.op, Scan) and n.op.steps(n) > 1]


IDS = [f"{g.inputs[0].dtype.value}-{i}" for i, g in enumerate(samples())]


@pytest.mark.parametrize("graph", samples(), ids=IDS)
def test_reading_it_gives_the_scan_back(graph: Graph) -> None:
    back = load_graph(to_tflite(graph, loops=True))
    assert [n.op.name for n in back.nodes] == ["scan"]
    wanted, found = graph.nodes[0].op, back.nodes[0].op
    assert isinstance(wanted, Scan)
    assert isinstance(found, Scan)
    assert (found.backward, found.sequences, found.emitted) == (wanted.backward, wanted.sequences, wanted.emitted)
    assert [n.op.name for n in found.body.nodes] == [n.op.name for n in wanted.body.nodes]
    for sample in Model(graph).samples(3):
        for y, expected in zip(Model(back).run(*sample), Model(graph).run(*sample), strict=True):
            np.testing.assert_array_equal(y, expected)


@needs_tflm
@pytest.mark.parametrize("graph", [g for g in samples() if g.inputs[0].dtype is not DType.INT16])
def test_tflite_micro_runs_it(graph: Graph) -> None:
    """Its GATHER has no int16 form."""
    for sample in Model(graph).samples(3):
        for y, expected in zip(tflm_run(to_tflite(graph, loops=True), sample), Model(graph).run(*sample), strict=True):
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
            else:
                np.testing.assert_array_equal(y, expected)


@needs_tflm
def test_tflite_micro_runs_a_whole_network() -> None:
    graph = int8(network(["gru", "lstm"]))
    model = to_tflite(graph, loops=True)
    for sample in Model(graph).samples(8):
        np.testing.assert_array_equal(tflm_run(model, sample)[0], Model(graph).run(*sample)[0])


@needs_litert
@pytest.mark.parametrize("graph", [g for g in samples() if g.inputs[0].dtype is DType.INT8])
def test_litert_runs_it(graph: Graph) -> None:
    for sample in Model(graph).samples(3):
        for y, expected in zip(
            litert_run(to_tflite(graph, loops=True), sample), Model(graph).run(*sample), strict=True
        ):
            np.testing.assert_array_equal(y, expected)


def test_a_file_is_unrolled_unless_asked() -> None:
    back = load_graph(to_tflite(samples()[0]))
    assert "scan" not in {n.op.name for n in back.nodes}


def test_a_loop_of_another_form_is_refused() -> None:
    """A WHILE that ends one step early: its sequence is longer than it counts."""
    graph = samples()[0]
    data = bytearray(to_tflite(graph, loops=True))
    steps = graph.inputs[0].shape[1]
    limit = np.array(steps, "<i4").tobytes()
    hits = [i for i in range(0, len(data) - 3, 4) if bytes(data[i : i + 4]) == limit]
    refused = 0
    for at in hits:
        changed = bytes(data[:at]) + np.array(steps - 1, "<i4").tobytes() + bytes(data[at + 4 :])
        try:
            load_graph(changed)
        except ChipfitError as error:
            refused += "once for each step" in error.message
    assert refused


def test_a_loop_in_itself_is_refused() -> None:
    """Its body's number is changed to that of the main subgraph."""
    data = to_tflite(samples()[0], loops=True)
    found: list[str] = []
    for at in range(0, len(data) - 3, 4):
        if data[at : at + 4] == b"\2\0\0\0":
            try:
                load_graph(data[:at] + bytes(4) + data[at + 4 :])
            except ChipfitError as error:
                found.append(error.code)
    assert found
    assert set(found) <= {"F003", "G001", "G003", "O001", "O002"}
