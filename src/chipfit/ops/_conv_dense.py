"""A convolution with one output pixel is a fully connected layer: so it is where a model computes frame by frame.

Kernels that take several pixels at a time have nothing to share there; those of FULLY_CONNECTED read each weight once.
"""

from __future__ import annotations

from math import prod

from chipfit.graph import Node, TensorType, Value
from chipfit.ops._base import Call
from chipfit.ops._dense_dsp import Operands, dense_dsp_call, dense_dsp_reason
from chipfit.ops._prepared import prepared
from chipfit.ops._steps import rows_in_order
from chipfit.ops._traversal import Traversal


def conv_dense_reason(node: Node, operands: Operands) -> bool | str:
    """True, or why ``cf_fully_connected_s8_dsp`` and ``_wide`` cannot be used for a convolution."""
    x, w, y = node["x"], node["w"], node["y"]
    if prod(y.shape[:3]) != 1:
        return "it has more than one output pixel"
    if x.shape[1:] != w.shape[1:] or any(node.op.attributes()["pad"]):
        return "its window is not the whole input"
    return dense_dsp_reason(as_dense(node), operands) if w.is_const else "the weights are computed at run time"


def conv_dense_call(node: Node, operands: Operands, part: slice | None = None) -> Call:
    """Arguments of ``cf_fully_connected_s8_dsp`` and ``_wide`` for a convolution with one output pixel."""
    return dense_dsp_call(as_dense(node), operands, part)


def conv_dense_traversal(node: Node, backward: bool) -> Traversal | None:
    """The whole input is copied before the outputs are written."""
    return None if backward else rows_in_order(node, staged=True)


def as_dense(node: Node) -> Node:
    """The node with two axes: weights (out, in), output (1, out)."""
    return prepared(node, "dense node", lambda: _flattened(node))


def _flattened(node: Node) -> Node:
    w = node["w"]
    x, y = (Value(v.name, _rows(v.type)) for v in (node["x"], node["y"]))
    flat = _rows(w.type)
    return Node(node.op, [x, Value(w.name, flat, w.array.reshape(flat.shape)), node.get("b")], [y])


def _rows(type_: TensorType) -> TensorType:
    return TensorType((type_.shape[0], prod(type_.shape[1:])), type_.dtype, type_.quant)
