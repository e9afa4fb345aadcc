"""Compute at compile time what depends on no input."""

from __future__ import annotations

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Graph, Node
from chipfit.graph.rewrite import Changed, Uses, pass_of_rules
from chipfit.ops import op_of
from chipfit.ops.shape import Shape

MAX_BYTES = 64 << 20
"""A result larger than this is left to the run: it would only bloat the program."""


def fold(graph: Graph, node: Node, uses: Uses) -> Changed | str | None:
    """Replace a node whose inputs are all constant, or of which only the shape counts, by its result."""
    operands = node.operands
    known = bool(operands) and all(v.is_const for v in operands)
    if not node.outputs or not (known or isinstance(node.op, Shape)):
        return None
    if any(v in uses.outputs for v in node.outputs):
        return "is an output of the graph, which must be written by a run"
    if sum(v.type.nbytes for v in node.outputs) > MAX_BYTES:
        return f"would be a constant of more than {MAX_BYTES >> 20} MiB"
    try:
        # Shape has no use for the elements
        with np.errstate(all="ignore"):
            results = op_of(node).evaluate(node, *(v.array for v in operands if v.is_const))
    except ChipfitError as e:
        return f"cannot be computed: {e.message}"
    for value, result in zip(node.outputs, results, strict=True):
        value.data = result
    uses.remove(node)
    return Changed(f"computed {node.op.name} '{node.name}'")


FOLD_CONSTANTS = pass_of_rules(
    "fold_constants", "What depends on no input is computed when compiling and becomes a constant.", [fold]
)
