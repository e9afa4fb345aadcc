"""Remove what nobody reads."""

from __future__ import annotations

from chipfit.graph import Graph, Value
from chipfit.graph.rewrite import Pass, PassReport


def remove_dead(graph: Graph) -> PassReport:
    """Remove nodes of which no output is read, last first, so that what only they read goes too.

    A node without outputs writes a variable: it stays.
    """
    report = PassReport("remove_dead")
    needed: set[Value] = set(graph.outputs)
    kept = graph.nodes[:0]
    for node in reversed(graph.nodes):
        if node.outputs and needed.isdisjoint(node.outputs):
            report.changes.append(f"removed {node.op.name} '{node.name}'")
        else:
            kept.append(node)
            needed.update(node.operands)
    graph.nodes = kept[::-1]
    return report


REMOVE_DEAD = Pass("remove_dead", "Operators whose results nobody reads are removed.", remove_dead)
