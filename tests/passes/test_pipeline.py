"""The rewriting core, and the promise of every pass: no output byte changes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.errors import ChipfitError
from chipfit.graph import Graph, Node
from chipfit.graph.rewrite import Changed, Pass, PassReport, Pipeline, Uses, pass_of_rules
from chipfit.ops.reshape import Reshape
from chipfit.passes import PIPELINE
from passes.chains import Builder, inputs_for, interface, ops_of, outputs_of, random_graph


@pytest.mark.parametrize("step", PIPELINE.passes, ids=lambda p: p.name)
@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=100, deadline=None)
def test_a_pass_changes_no_output_byte(step: Pass, seed: int) -> None:
    graph = random_graph(seed)
    inputs, seen = inputs_for(graph, seed), interface(graph)
    before = outputs_of(graph, inputs)
    Pipeline((step,)).run(graph)
    assert outputs_of(graph, inputs) == before
    assert interface(graph) == seen


@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=200, deadline=None)
def test_the_pipeline_changes_no_output_byte_and_comes_to_an_end(seed: int) -> None:
    graph = random_graph(seed, steps=16)
    inputs, seen, nodes = inputs_for(graph, seed), interface(graph), len(graph.nodes)
    before = outputs_of(graph, inputs)
    report = PIPELINE.run(graph)
    assert outputs_of(graph, inputs) == before
    assert interface(graph) == seen
    assert len(graph.nodes) <= nodes
    assert bool(report.summary()) == any(p.changes for p in report.passes)


def test_names_of_passes_are_unique_and_documented() -> None:
    names = [p.name for p in PIPELINE.passes]
    assert names == [
        "fold_weight_dequantize",
        "fold_constants",
        "remove_transposes",
        "remove_identity",
        "fold_dilation",
        "fold_pad",
        "fold_requantize",
        "fold_activation",
        "merge_depthwise",
        "scan_inline",
        "scan_outputs",
        "scan_bodies",
        "remove_dead",
        "dead_channels",
    ]
    assert all(p.doc.endswith(".") for p in PIPELINE.passes)


def test_report_tells_changes_and_reasons() -> None:
    b = Builder()
    x = b.input(1, 3, 3, 2)
    y = b.add(Reshape((3, 3, 2)), b.add(Reshape((18,)), x))
    graph = b.done(y, b.add(Reshape((3, 3, 2)), y))
    report = PIPELINE.run(graph)
    assert report.summary() == ("remove_identity: merged reshape 't0' into 't1'",)
    assert report.reasons() == (
        "remove_identity: 't2' makes a graph output from 't1', which is an input, a constant or an output itself",
        "remove_identity: 't2' is a view of 't1', which something else needs too",
    )


def test_summary_is_short() -> None:
    b = Builder()
    x = y = b.input(2)
    for _ in range(6):
        y = b.add(Reshape((2,)), y)
    graph = b.done(b.add(Reshape((1, 2)), y))
    (line,) = PIPELINE.run(graph).summary()
    assert line.count("removed reshape") == 3
    assert line.endswith(" and 3 more")
    assert graph.nodes[0].inputs == [x]


def test_rules_run_until_none_matches_and_keep_the_last_reasons() -> None:
    def shorten(graph: Graph, node: Node, uses: Uses) -> Changed | str | None:
        if uses.producer(node["x"]) is None:
            return "is the first"
        if uses.readers(node.outputs[0]):
            return "is read"
        uses.remove(node)
        return Changed(f"removed {node.name}")

    b = Builder()
    y = b.input(2)
    for _ in range(3):
        y = b.add(Reshape((2,)), y)
    report = pass_of_rules("shorten", "Shorten.", [shorten]).run(b.graph)
    assert ops_of(b.graph) == ["reshape"]
    assert report.changes == ["removed t2", "removed t1"]
    assert [(m.node, m.reason) for m in report.missed] == [("t0", "is the first")]


def test_a_pass_that_breaks_the_graph_is_caught() -> None:
    def spoil(graph: Graph) -> PassReport:
        graph.nodes.clear()
        return PassReport("spoil")

    b = Builder()
    graph = b.done(b.add(Reshape((2, 1)), b.input(2)))
    with pytest.raises(ChipfitError, match="graph output 't0' is never produced"):
        Pipeline((Pass("spoil", "Spoil.", spoil),)).run(graph)
