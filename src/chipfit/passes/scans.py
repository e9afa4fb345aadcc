"""SCANs: their bodies are rewritten as graphs are; what they give and nobody needs is not made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from chipfit.graph import Graph, Node, Value
from chipfit.graph.rewrite import Changed, Pass, PassReport, Pipeline, Uses, pass_of_rules
from chipfit.ops import op_of
from chipfit.ops._move import Move
from chipfit.ops.gather import Gather
from chipfit.ops.reshape import Reshape
from chipfit.ops.scan import Scan
from chipfit.ops.slice import Slice
from chipfit.ops.strided_slice import StridedSlice
from chipfit.ops.transpose import Transpose
from chipfit.recurrent import unroll


def _sequence(node: Node, uses: Uses) -> tuple[Value, Node] | None:
    """The sequence of a SCAN that a node picks from, and the SCAN; None: it is no such node."""
    if not isinstance(node.op, (Gather, Slice, StridedSlice)) or any(not v.is_const for v in node.operands[1:]):
        return None
    x = node["x"]
    while (before := uses.producer(x)) is not None and _keeps_order(before):
        x = before["x"]
    if before is None or not isinstance(before.op, Scan) or x not in before.op.given(before)[1]:
        return None
    return x, before


def _keeps_order(node: Node) -> bool:
    """Whether a node leaves the elements in the order that they have in memory."""
    if not isinstance(node.op, Transpose):
        return op_of(node).is_view
    long = [axis for axis in node.op.perm if node["x"].shape[axis] != 1]
    return long == sorted(long)


def take_end(graph: Graph, node: Node, uses: Uses) -> Changed | None:
    """The last step of a sequence of states is the state at the end, in whatever shape the sequence is picked from."""
    found = _sequence(node, uses)
    if found is None or not isinstance(found[1].op, Scan) or not isinstance(node.op, Move):
        return None
    x, (sequence, scan), op = node["x"], found, found[1].op
    index = op.emitted[op.given(scan)[1].index(sequence)]
    if index >= op.state_count:
        return None
    end, y = scan.outputs[index], node.outputs[0]
    numbers = np.arange(x.type.size).reshape(x.shape)
    picked = node.op.move(node, numbers, *(v.array for v in node.operands[1:]))
    first = 0 if op.backward else (op.steps(scan) - 1) * end.type.size
    if (end.dtype, end.type.quant) != (y.dtype, y.type.quant):
        return None
    if not np.array_equal(np.ravel(picked), np.arange(first, first + end.type.size)):
        return None
    node.op = Reshape(y.shape)
    uses.set_inputs(node, [end])
    _remove_views(x, uses)
    return Changed(f"'{node.name}' is the state at the end")


def _remove_views(x: Value, uses: Uses) -> None:
    """Remove what nothing reads any more, from x up to the SCAN, which then need not make the sequence."""
    while not uses.readers(x) and x not in uses.outputs:
        before = uses.producer(x)
        if before is None or isinstance(before.op, Scan):
            return
        uses.remove(before)
        x = before["x"]


def drop_sequence(graph: Graph, node: Node, uses: Uses) -> Changed | None:
    """A sequence that nobody reads is not made."""
    op = node.op
    if not isinstance(op, Scan):
        return None
    ends, made = op.given(node)
    kept = [(v, i) for v, i in zip(made, op.emitted, strict=True) if uses.readers(v) or v in uses.outputs]
    if len(kept) == len(made) or not (ends or kept):
        return None
    node.op = dataclasses.replace(op, emitted=tuple(i for _, i in kept))
    uses.set_outputs(node, [*ends, *(v for v, _ in kept)])
    return Changed(f"'{node.name}' makes {len(made) - len(kept)} sequences less")


SCAN_OUTPUTS = pass_of_rules(
    "scan_outputs", "Sequences of states of which only the last step is read are not made.", [take_end, drop_sequence]
)


def scan_bodies(pipeline: Callable[[], Pipeline]) -> Pass:
    """The pass that runs a pipeline on the bodies of all SCANs."""

    def run(graph: Graph) -> PassReport:
        report = PassReport("scan_bodies")
        for node in graph.nodes:
            if isinstance(node.op, Scan):
                body = node.op.body.copy()
                changes = pipeline().run(body).summary()
                if changes:
                    node.op = dataclasses.replace(node.op, body=body)
                    report.changes += [f"in '{node.name}': {text}" for text in changes]
        return report

    return Pass("scan_bodies", "The graphs inside of SCANs are rewritten, too.", run)


def _inline(graph: Graph) -> PassReport:
    report = PassReport("scan_inline")
    once = [n for n in graph.nodes if isinstance(n.op, Scan) and n.op.steps(n) == 1]
    if once:
        result = unroll(graph, most_steps=1)
        graph.inputs, graph.outputs, graph.nodes = result.inputs, result.outputs, result.nodes
        report.changes += [f"'{n.name}' runs once" for n in once]
    return report


SCAN_INLINE = Pass("scan_inline", "A SCAN of one step is the nodes of its body.", _inline)
