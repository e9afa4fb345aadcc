"""Fold scales and offsets of channels into the layer with weights before them: what becomes of batch normalization.

It rounds weights anew, so it belongs to the import and is no pass: passes change no output byte.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from chipfit.graph import Array, Graph, Node, TensorType, Value
from chipfit.ops.add import Add
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.mul import Mul
from chipfit.ops.reshape import Reshape
from chipfit.ops.sub import Sub
from chipfit.ops.transpose_conv import TransposeConv

_OUT_AXIS: dict[type, int] = {Conv2D: 0, DepthwiseConv2D: 3, FullyConnected: 0, TransposeConv: 0}
"""The axis of the weights that counts output channels."""


def fold_scales(graph: Graph) -> None:
    """Let layers with weights do a following MUL, ADD or SUB of a constant for each channel.

    Only where nothing else reads what lies between. Weights are computed in double precision and rounded once per
    folded node; constants that other nodes read, too, are not changed but replaced. Chains are folded from the front.
    """
    producers = graph.producers()
    reads = {value: len(nodes) for value, nodes in graph.consumers().items()}
    for value in graph.outputs:
        reads[value] = reads.get(value, 0) + 1
    removed: set[int] = set()
    for node in graph.nodes:
        layer = _layer_before(node, producers, reads)
        if layer is not None:
            head, x, constant = layer
            if isinstance(node.op, Mul):
                _scale(head, constant)
            else:
                _shift(head, -constant if isinstance(node.op, Sub) else constant)
            _bypass(graph, node, x, producers, reads)
            removed.add(id(node))
    graph.nodes = [node for node in graph.nodes if id(node) not in removed]


def _layer_before(
    node: Node, producers: dict[Value, Node], reads: dict[Value, int]
) -> tuple[Node, Value, Array] | None:
    """The layer that can do this node, the node's variable operand, and the constant as one number per channel."""
    if not isinstance(node.op, Mul | Add | Sub) or node.op.act != "none":
        return None
    a, b = node["a"], node["b"]
    if isinstance(node.op, Sub) and a.is_const:
        return None
    x, constant = (a, b) if b.is_const else (b, a)
    if x.is_const or not constant.is_const or node["y"].shape != x.shape or not x.shape:
        return None
    channels = x.shape[-1]
    head, value = producers.get(x), x
    while head is not None and isinstance(head.op, Reshape) and head["x"].shape[-1:] == (channels,):
        if reads[value] != 1:
            return None
        value = head["x"]
        head = producers.get(value)
    if head is None or reads[value] != 1 or not _takes(head, channels):
        return None
    if constant.type.size not in (1, channels) or (constant.type.size > 1 and constant.shape[-1] != channels):
        return None
    return head, x, np.broadcast_to(constant.array.reshape(-1).astype(np.float64), (channels,))


def _takes(head: Node, channels: int) -> bool:
    axis = _OUT_AXIS.get(type(head.op))
    if axis is None or head.op.attributes()["act"] != "none":
        return False
    w, b = head["w"], head.get("b")
    return w.is_const and (b is None or b.is_const) and w.shape[axis] == channels


def _scale(head: Node, factors: Array) -> None:
    """y = (w x + b) * f = (w f) x + b f."""
    w = head["w"]
    along = [-1 if axis == _OUT_AXIS[type(head.op)] else 1 for axis in range(len(w.shape))]
    head.inputs[1] = _changed(w, lambda data: data * factors.reshape(along))
    b = head.get("b")
    if b is not None:
        head.inputs[2] = _changed(b, lambda data: data * factors)


def _shift(head: Node, offsets: Array) -> None:
    """y = (w x + b) + d = w x + (b + d)."""
    b = head.get("b")
    if b is None:
        bias = Value(f"{head['y'].name}/bias", TensorType(offsets.shape, head["w"].dtype), np.zeros(offsets.shape))
        head.inputs = [*head.inputs[:2], _changed(bias, lambda data: data + offsets)]
    else:
        head.inputs[2] = _changed(b, lambda data: data + offsets)


def _changed(value: Value, function: Callable[[Array], Array]) -> Value:
    """Another constant of the same name and type."""
    return dataclasses.replace(value, data=function(value.array.astype(np.float64)).astype(np.float32))


def _bypass(graph: Graph, node: Node, x: Value, producers: dict[Value, Node], reads: dict[Value, int]) -> None:
    """Let what makes ``x`` make the node's output, which keeps its name."""
    y, before = node["y"], producers[x]
    before.outputs = [y if v is x else v for v in before.outputs]
    producers[y] = before
    reads.pop(x)
