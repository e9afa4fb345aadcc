"""Small recurrent networks of random numbers, as the doors make them, and what is asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from chipfit.graph import Array, Graph, Value
from chipfit.importers._build import GraphBuilder
from chipfit.importers._recurrent import RELU, Cell, gru, lstm, scan, simple_rnn, split_gates, stacked
from chipfit.ops import random_input
from chipfit.ops.scan import Scan
from chipfit.passes import PIPELINE
from chipfit.quantize import parse_recipe, quantize_graph, samples_of

Kind = Literal["gru", "gru_before", "lstm", "rnn", "rnn_relu", "stack"]
Head = Literal["last", "steps", "state"]

KINDS: tuple[Kind, ...] = ("gru", "gru_before", "lstm", "rnn", "rnn_relu", "stack")
HEADS: tuple[Head, ...] = ("last", "steps", "state")
PLAIN = "int8 -equalize -reconstruct -bias -match -pool"
"""Rounding alone, which is quick."""


def cell_of(kind: Kind, name: str, width: int, units: int, rng: np.random.Generator) -> tuple[Cell, tuple[str, ...]]:
    """A cell, and the names of its states."""
    gates = {"gru": "zrn", "gru_before": "zrn", "lstm": "ifgo"}.get(kind, "h")
    if kind == "stack":
        first, _ = cell_of("gru", f"{name}/0", width, units, rng)
        second, _ = cell_of("lstm", f"{name}/1", units, units, rng)
        return stacked([first, second], [1, 2]), ("0/h", "1/h", "1/c")
    rows = len(gates) * units
    kernel, recurrent = rng.normal(0, 0.7, (rows, width)), rng.normal(0, 0.5, (rows, units))
    found = split_gates(gates, kernel, recurrent, rng.normal(0, 0.3, rows), rng.normal(0, 0.3, rows))
    if kind == "lstm":
        return lstm(name, found), ("h", "c")
    if kind == "rnn":
        return simple_rnn(name, found["h"], lambda builder, x, name: builder.node("tanh", [x], name)), ("h",)
    if kind == "rnn_relu":
        return simple_rnn(name, found["h"], RELU), ("h",)
    return gru(name, found, reset_after=kind == "gru"), ("h",)


def network(
    kinds: Sequence[Kind],
    head: Head = "last",
    *,
    seed: int = 0,
    steps: int = 4,
    width: int = 3,
    units: int = 4,
    backward: bool = False,
    given: bool = False,
) -> Graph:
    """Recurrent layers one after the other, then a dense layer for the last step (``last``) or for each (``steps``), or
    the states at the end as they are (``state``).

    ``given``: the first state of the first layer is an input. Layers are named by their kind and number.
    """
    rng = np.random.default_rng(seed)
    b = GraphBuilder("net")
    x = b.input("x", (1, steps, width))
    ends: list[Value] = []
    for index, kind in enumerate(kinds):
        name = f"{kind}{index}"
        cell, states = cell_of(kind, name, x.shape[2], units, rng)
        sizes = rng.normal(0, 0.3, (len(states), 1, units))
        first = [b.constant(f"{name}/{s}_start", data) for s, data in zip(states, sizes, strict=True)]
        if given and index == 0:
            first[0] = b.input("start", (1, units))
        emit = states.index("1/h") if kind == "stack" else 0
        found = scan(b, name, x, first, states, cell, emit=emit, backward=backward)
        assert found.sequence is not None
        x, ends = found.sequence, found.ends
    if head == "state":
        return finished(b, [(f"end{i}", v) for i, v in enumerate(ends)])
    last = b.node("slice", [x], "last", begin=(0, steps - 1, 0), size=(1, 1, units))
    rows = x if head == "steps" else b.reshape(last, (1, units), "row")
    w, bias = b.constant("w", rng.normal(0, 0.6, (5, units))), b.constant("b", rng.normal(0, 0.2, 5))
    y = b.node("fully_connected", [rows, w, bias], "dense", keep_dims=head == "steps")
    return finished(b, [("y", b.node("softmax", [y], "probabilities") if seed % 2 else y)])


def finished(b: GraphBuilder, outputs: Sequence[tuple[str, Value]]) -> Graph:
    graph = b.finish(outputs)
    PIPELINE.run(graph)
    return graph


def float_samples(graph: Graph, count: int, seed: int = 0) -> list[list[Array]]:
    """Inputs that differ from step to step, between -1 and 1."""
    rng = np.random.default_rng(seed)
    return [[rng.uniform(-1, 1, v.shape).astype(np.float32) for v in graph.inputs] for _ in range(count)]


def int8(graph: Graph, recipe: str = PLAIN, count: int = 6) -> Graph:
    """The quantized graph after the passes that a quantized model goes through."""
    samples = samples_of(float_samples(graph, count), graph.inputs)
    result = quantize_graph(graph, samples, parse_recipe(recipe)).graph
    PIPELINE.run(result)
    return result


def inputs_for(graph: Graph, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [random_input(rng, v.type) for v in graph.inputs]


def scans_of(graph: Graph) -> list[Scan]:
    return [node.op for node in graph.nodes if isinstance(node.op, Scan)]
