"""Remove requantizations between int8 operators where a table of all 256 bytes proves that nothing changes."""

from __future__ import annotations

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Node, Value
from chipfit.graph.rewrite import Changed, Uses, pass_of_rules
from chipfit.ops._unary import Unary
from chipfit.ops.quantize import Quantize
from chipfit.ops.reshape import Reshape
from chipfit.passes._ranges import byte_table


def relabel(graph: Graph, node: Node, uses: Uses) -> Changed | str | None:
    """A quantization that gives each byte itself only has another scale to tell: that is a view."""
    if not _is_requantize(node) or not np.array_equal(byte_table(node), np.arange(-128, 128)):
        return None
    node.op = Reshape(node["y"].shape)
    return Changed(f"made quantize '{node.name}' a view")


def merge_tables(graph: Graph, node: Node, uses: Uses) -> Changed | str | None:
    """Two operators on single bytes of which one is a quantization become the other one, if that gives the same."""
    if not _is_byte_op(node):
        return None
    first = uses.producer(node["x"])
    if first is None or not _is_byte_op(first) or not (_is_requantize(first) or _is_requantize(node)):
        return None
    if uses.only_reader(node["x"]) is not node:
        return f"comes after '{first.name}', which something else needs too"
    two = byte_table(node)[byte_table(first).astype(np.int64) + 128]
    op = first.op if _is_requantize(node) else node.op
    one = _table_of(Node(op, [first["x"]], [node["y"]]))
    if one is None or not np.array_equal(one, two):
        return f"together with '{first.name}' gives other bytes than {op.name} alone would"
    x: Value = first["x"]
    uses.remove(first)
    uses.set_inputs(node, [x])
    node.op = op
    return Changed(f"merged '{first.name}' into {op.name} '{node.name}'")


def _is_byte_op(node: Node) -> bool:
    return isinstance(node.op, Unary | Quantize) and node["x"].dtype is DType.INT8 and node["y"].dtype is DType.INT8


def _is_requantize(node: Node) -> bool:
    return isinstance(node.op, Quantize) and _is_byte_op(node)


def _table_of(node: Node) -> Array | None:
    """None where the operator is not defined for these quantizations."""
    try:
        node.op.check(node)
        return byte_table(node)
    except ChipfitError:
        return None


FOLD_REQUANTIZE = pass_of_rules(
    "fold_requantize",
    "Requantizations that a table of all bytes proves to change nothing, alone or with their neighbour, are removed.",
    [merge_tables, relabel],
)
"""``merge_tables`` first: what has become a view is no table any more."""
