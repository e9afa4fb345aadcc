"""Which values need no memory of their own because they are another value's bytes, read with another shape."""

from __future__ import annotations

from chipfit.graph import Graph, Value
from chipfit.ops import op_of


def find_views(graph: Graph) -> dict[Value, Value]:
    """Each view, and the value whose memory it is: its root, never a view itself.

    A view of a constant would lie in flash, and an output that is a view of an input would be lost with it:
    both are copied instead.
    """
    inputs, outputs = set(graph.inputs), set(graph.outputs)
    views: dict[Value, Value] = {}
    for node in graph.nodes:
        if not op_of(node).is_view:
            continue
        x, y = node.operands[0], node.outputs[0]
        root = views.get(x, x)
        if not root.is_const and not (root in inputs and y in outputs):
            views[y] = root
    return views
