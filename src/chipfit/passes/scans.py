"""SCANs: their bodies are rewritten as graphs are; what they give and nobody needs is not made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from chipfit.graph import Graph, Node, Value
from chipfit.graph.rewrite import Changed, Pass, PassReport, Pipeline, Uses, pass_of_rules
from chipfit.ops.reshape import Reshape
from chipfit.ops.scan import TIME, Scan
from chipfit.ops.slice import Slice
from chipfit.ops.strided_slice import StridedSlice


def _picked(node: Node) -> tuple[Value, int] | None:
    """The sequence and the step of it that a node picks; None: it is no such node."""
    op = node.op
    if isinstance(op, Slice):
        x, begin, size = node["x"], op.begin, op.size
    elif isinstance(op, StridedSlice):
        x, begin, size = node["x"], op.begin, tuple(len(r) for r in op.ranges())
    else:
        return None
    if (
        len(x.shape) <= TIME
        or size[TIME] != 1
        or any(n != s for i, (n, s) in enumerate(zip(size, x.shape, strict=True)) if i != TIME)
    ):
        return None
    return x, begin[TIME]


def take_end(graph: Graph, node: Node, uses: Uses) -> Changed | None:
    """The last step of a sequence of states is the state at the end."""
    picked = _picked(node)
    scan = uses.producer(picked[0]) if picked else None
    if picked is None or scan is None or not isinstance(scan.op, Scan):
        return None
    op, (sequence, step) = scan.op, picked
    index = (
        op.emitted[scan.outputs.index(sequence) - op.state_count] if sequence in op.given(scan)[1] else len(op.emitted)
    )
    last = 0 if op.backward else op.steps(scan) - 1
    if sequence not in op.given(scan)[1] or index >= op.state_count or step != last:
        return None
    node.op = Reshape(node.outputs[0].shape)
    uses.set_inputs(node, [scan.outputs[index]])
    return Changed(f"'{node.name}' is the state at the end")


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
