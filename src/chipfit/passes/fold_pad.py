"""Let convolutions do the padding that comes before them."""

from __future__ import annotations

import dataclasses

from chipfit.graph import Graph, Node
from chipfit.graph.rewrite import Changed, Uses, pass_of_rules
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.pad import Pad


def fold_pad(graph: Graph, node: Node, uses: Uses) -> Changed | str | None:
    """Add the padding of rows and columns to the convolutions that read it.

    Exact: a convolution's own padding counts as the real number 0, and that is the zero point of its input.
    """
    if not isinstance(node.op, Pad):
        return None
    x, y = node["x"], node["y"]
    reason = _why_not(node, node.op, uses)
    if reason is not None:
        return reason
    (_, _), (top, bottom), (left, right), (_, _) = node.op.pads
    readers = uses.readers(y)
    for reader in readers:
        conv = reader.op
        assert isinstance(conv, Conv2D | DepthwiseConv2D)
        pad = (conv.pad[0] + top, conv.pad[1] + left, conv.pad[2] + bottom, conv.pad[3] + right)
        reader.op = dataclasses.replace(conv, pad=pad)
    uses.replace(y, x)
    uses.remove(node)
    names = ", ".join(repr(r.name) for r in readers)
    return Changed(f"moved pad '{y.name}' into {names}")


def _why_not(node: Node, op: Pad, uses: Uses) -> str | None:
    x, y = node["x"], node["y"]
    if len(op.pads) != 4 or any(op.pads[0]) or any(op.pads[3]):
        return "pads other axes than rows and columns"
    if op.element(node) != (0 if y.dtype.is_float or y.type.quant is None else y.q.zp):
        return "pads with another value than the real number 0"
    if x.type.quant != y.type.quant:
        return f"gives its elements another quantization than '{x.name}' has"
    readers = uses.readers(y)
    if y in uses.outputs or not readers:
        return "is an output of the graph, or nothing reads it"
    for reader in readers:
        if not isinstance(reader.op, Conv2D | DepthwiseConv2D):
            return f"is read by {reader.op.name} '{reader.name}', which has no padding of its own with that meaning"
        if y in reader.inputs[1:]:
            return f"is read by {reader.op.name} '{reader.name}' as weights"
    return None


FOLD_PAD = pass_of_rules(
    "fold_pad", "A pad of rows and columns with zeros before convolutions becomes their own padding.", [fold_pad]
)
