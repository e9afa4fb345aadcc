"""SCANs: the body is quantized as a graph of its own, on the steps and states that really occur in sequences.

What a body is calibrated with is not only the zeros that a sequence begins with: the float network runs whole
sequences, and every step with the state before it is a sample. Then the integer body runs the same sequences, and the
states that it comes to are samples too, until the ranges no longer grow. A state has one scale, before a step and
after it, so that it goes round without being rescaled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from chipfit.graph import Array, Graph, Node, Quant, Value
from chipfit.ops.scan import TIME, Scan
from chipfit.quantize.apply import Integer, to_integer
from chipfit.quantize.batch import run_body
from chipfit.quantize.calibrate import batches, calibrate, trace
from chipfit.quantize.observers import Range
from chipfit.quantize.parameters import Parameters, dequantize_array, parameters, quantize_array
from chipfit.quantize.recipe import Recipe
from chipfit.quantize.sources import Progress, Samples
from chipfit.quantize.sweep import LayerFigures, Sweep, affordable
from chipfit.quantize.widths import inside

_MOST_STEPS = 4096
"""Samples of a body: steps of all sequences, evenly chosen where there are more."""

_SETTLED = 1.01
"""Ranges have settled when the states of the integer body make none of them wider than by this."""

_ROUNDS = 4
"""At most."""


@dataclass
class _Steps:
    """What a body was called with: for each of its inputs an array (steps of all sequences, *shape), float32."""

    arrays: list[Array]

    def samples(self) -> Samples:
        chosen = np.unique(np.linspace(0, len(self.arrays[0]) - 1, _MOST_STEPS).astype(int))
        return Samples(tuple(a[chosen] for a in self.arrays), (None,) * len(self.arrays))


class Loop:
    """One SCAN of the float graph on its way to integers.

    ``operands``: its inputs in the float network, samples first.
    ``body``: of integers, once it is made; ``rounds``: how often its ranges were looked at anew.
    """

    def __init__(self, node: Node, op: Scan, operands: Sequence[Array], recipe: Recipe, progress: Progress) -> None:
        self.node, self.op, self.operands, self.progress = node, op, list(operands), progress
        self.recipe = inside(recipe)
        self.ties = list(zip(op.body.inputs[op.sequences :], op.body.outputs[: op.state_count], strict=True))
        self.floats = self.reached = _steps_of(op, op.body, self.operands)
        self.ranges = self._calibrated(self.floats)
        self.inner = find_loops(op.body, self.floats.samples(), self.recipe, progress)
        self.rounds = 0
        self.figures: list[LayerFigures] = []
        self.body: Graph | None = None

    def _calibrated(self, steps: _Steps) -> dict[Value, Range]:
        return calibrate(self.op.body, steps.samples(), self.recipe, progress=self.progress).ranges

    def prescribed(self) -> dict[str, Quant]:
        """What the body says of the quantization of the SCAN's outputs, by their names."""
        found = _parameters(self.op.body, self.ranges, self.recipe, self.inner, self.ties, {})
        forms = list(zip(self.op.body.outputs, found.widths.outputs, strict=True))
        ends, made = self.op.given(self.node)
        pairs = [*zip(ends, forms, strict=False), *zip(made, [forms[i] for i in self.op.emitted], strict=True)]
        return {outer.name: found.quants[form] for outer, form in pairs if form in found.quants}

    def settle(self, node: Node, found: Parameters) -> None:
        """Widen the ranges until they hold what the integer body comes to; once.

        ``node``: the SCAN in the graph that ``found`` is about, which says how its sequences are quantized.
        """
        if self.rounds:
            return
        given = self._given(node, found)
        for self.rounds in range(1, _ROUNDS + 1):
            self.reached = self._reached(self._fitted(given))
            if not self._grow(self._calibrated(self.reached)):
                break

    def quantized(self, node: Node, found: Parameters) -> Graph:
        """The integer body, whose layers are fitted where the integer network really is; made once."""
        if self.body is None:
            self.body = self._fitted(self._given(node, found)).graph
        return self.body

    def _given(self, node: Node, found: Parameters) -> dict[Value, Quant]:
        taken = zip(self.op.body.inputs, self.op.taken(node)[0], strict=False)
        return {inner: found.quants[x, found.widths.of(node, x)] for inner, x in taken if x.dtype.is_float}

    def _fitted(self, given: Mapping[Value, Quant]) -> Integer:
        integer, _ = integer_graph(self.op.body, self.ranges, self.recipe, self.inner, self.ties, given)
        samples = affordable(integer, self.floats.samples())
        sweep = Sweep(integer, samples, self.recipe, self.progress)
        for value, x in zip(integer.graph.inputs, self.reached.samples().arrays, strict=True):
            if value.type.quant is not None:
                sweep.integers[value.name] = quantize_array(x[: len(samples)], value.q, value.dtype)
        sweep.run()
        self.figures = sweep.figures
        return integer

    def _reached(self, integer: Integer) -> _Steps:
        """The steps and states that the integer body comes to, as real numbers."""
        stored = [
            x if v.type.quant is None else quantize_array(x, v.q, v.dtype)
            for x, v in zip(self.operands, integer.graph.inputs, strict=True)
        ]
        steps = _steps_of(self.op, integer.graph, stored)
        pairs = zip(steps.arrays, integer.graph.inputs, strict=True)
        return _Steps([x if v.type.quant is None else dequantize_array(x, v.q) for x, v in pairs])

    def _grow(self, seen: Mapping[Value, Range]) -> bool:
        """Unite the ranges with others; whether that made any wider."""
        wider = False
        for value, new in seen.items():
            old = self.ranges[value]
            both = old.union(new)
            wider |= both.high - both.low > _SETTLED * (old.high - old.low)
            self.ranges[value] = both
        return wider


def integer_graph(
    graph: Graph,
    ranges: Mapping[Value, Range],
    recipe: Recipe,
    loops: Sequence[Loop],
    ties: Sequence[tuple[Value, Value]] = (),
    given: Mapping[Value, Quant] | None = None,
) -> tuple[Integer, Parameters]:
    """A float graph in integers, the bodies of its SCANs first. ``loops``: found in this graph, or one it is a copy of.

    ``ties`` and ``given``: see :func:`chipfit.quantize.parameters.parameters`.
    """
    found = _parameters(graph, ranges, recipe, loops, ties, given or {})
    nodes = {node.name: node for node in graph.nodes}
    for loop in loops:
        loop.settle(nodes[loop.node.name], found)
    if loops:
        found = _parameters(graph, ranges, recipe, loops, ties, given or {})
    found.bodies.update((loop.node.name, loop.quantized(nodes[loop.node.name], found)) for loop in loops)
    return to_integer(graph, found, recipe), found


def _parameters(
    graph: Graph,
    ranges: Mapping[Value, Range],
    recipe: Recipe,
    loops: Sequence[Loop],
    ties: Sequence[tuple[Value, Value]],
    given: Mapping[Value, Quant],
) -> Parameters:
    """What the SCANs' bodies say of their outputs holds."""
    by_name = {v.name: v for node in graph.nodes for v in node.outputs}
    decided = {by_name[name]: quant for loop in loops for name, quant in loop.prescribed().items()}
    return parameters(graph, ranges, recipe, ties=ties, prescribed={**decided, **given})


def _steps_of(op: Scan, body: Graph, operands: Sequence[Array]) -> _Steps:
    """Run a body over sequences and keep what it is called with."""
    called: list[list[Array]] = []

    def run(inputs: list[Array]) -> list[Array]:
        called.append(inputs)
        return run_body(body, inputs)

    op.scan(operands, run, TIME + 1)
    return _Steps([np.concatenate(column) for column in zip(*called, strict=True)])


def find_loops(graph: Graph, samples: Samples, recipe: Recipe, progress: Progress) -> list[Loop]:
    """The SCANs of a float graph, with what they are called with for these samples."""
    nodes = [n for n in graph.nodes if isinstance(n.op, Scan)]
    seen: dict[Value, list[Array]] = {v: [] for n in nodes for v in n.operands if not v.is_const}
    for batch in batches(graph, samples) if nodes else ():
        computed = ((v, x) for v, x in trace(graph, batch) if v in seen)
        # no further than that: the last SCAN itself, which takes longest, need not run
        for value, x in islice(computed, len(seen)):
            seen[value].append(x)
    found: list[Loop] = []
    for node in nodes:
        op = node.op
        assert isinstance(op, Scan)
        operands = [
            np.broadcast_to(v.array, (len(samples), *v.shape)) if v.is_const else np.concatenate(seen[v])
            for v in node.operands
        ]
        found.append(Loop(node, op, operands, recipe, progress))
    return found
