"""What a model does to its inputs at first (Rescaling, Normalization) becomes part of the first layer's weights.

``y = a x + b`` before a layer ``w y + c`` is the layer ``(a w) x + (b w + c)``: the input keeps its meaning, and bytes
of pixels go straight into the first layer. It rounds weights anew, so it belongs to quantization and is no pass.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, TensorType, Value
from chipfit.graph.rewrite import Uses
from chipfit.ops import op_of
from chipfit.ops.add import Add
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.mul import Mul
from chipfit.ops.sub import Sub
from chipfit.quantize.layers import LAYERS

_MOST_SPREAD = 4.0
"""Factors of channels may differ by as much: the weights of all input channels share the steps of 8 bits."""


def fold_inputs(graph: Graph) -> list[str]:
    """Fold constants that inputs are multiplied by and added to, in place. Returns notes for people.

    An input that only such nodes read, one after the other, and then layers with weights. Where a layer pads, its zeros
    stand for the sum: then the factor is folded, and one ADD is left.
    """
    return [note for value in list(graph.inputs) if (note := _fold(graph, value))]


def _fold(graph: Graph, x: Value) -> str:
    uses = Uses(graph)
    chain, scale, offset = _chain(uses, x)
    if not chain:
        return ""
    y = chain[-1]["y"]
    layers = _layers(uses, y)
    spread = np.abs(scale).max() / max(np.abs(scale).min(), np.finfo(np.float64).tiny)
    if not layers or spread > _MOST_SPREAD or not all(_takes(node, x, scale, offset) for node in layers):
        return ""
    shifts = bool(offset.any())
    pads = shifts and any(any(node.op.attributes().get("pad", ())) for node in layers)
    if pads and len(chain) == 1:
        return ""
    for node in layers:
        _absorb(graph, node, scale, np.zeros(1) if pads else offset)
    last = chain[-1]
    if pads:
        data = (offset / scale).astype(np.float32)
        constant = Value(graph.unique_name(f"{y.name}/offset"), TensorType(data.shape, DType.FLOAT32), data)
        graph.nodes[graph.nodes.index(last)] = Node(Add(), [x, constant], [y])
    else:
        for node in graph.nodes:
            node.inputs = [x if v is y else v for v in node.inputs]
    gone = set(chain)
    graph.nodes = [node for node in graph.nodes if node not in gone]
    done = "its factor is" if pads else "they are"
    names = ", ".join(f"{node.op.name} '{node.name}'" for node in chain)
    return f"'{x.name}' is scaled by {names}: {done} part of {', '.join(repr(node.name) for node in layers)} now"


def _chain(uses: Uses, x: Value) -> tuple[list[Node], Array, Array]:
    """The nodes that scale and shift an input, and what they do together: ``scale * x + offset``, for each channel.

    Both have one element, or one for each index along the last axis.
    """
    chain: list[Node] = []
    scale, offset, value = np.ones(1), np.zeros(1), x
    while (node := uses.only_reader(value)) is not None and isinstance(node.op, Mul | Add | Sub):
        constant = _constant(node, value)
        if constant is None or node.op.act != "none" or node["y"].shape != x.shape:
            break
        if isinstance(node.op, Mul):
            scale, offset = scale * constant, offset * constant
        elif isinstance(node.op, Add):
            offset = offset + constant
        elif node["a"] is value:
            offset = offset - constant
        else:
            scale, offset = -scale, constant - offset
        chain.append(node)
        value = node["y"]
    return chain, scale, offset


def _constant(node: Node, value: Value) -> Array | None:
    """The other operand in double precision, if it is finite and one number or one for each channel."""
    other = node["b"] if node["a"] is value else node["a"]
    sizes = {1, value.shape[-1]} if value.shape else {1}
    if other is value or not other.is_const or not value.dtype.is_float or other.type.size not in sizes:
        return None
    if other.type.size > 1 and other.shape[-1] != other.type.size:
        return None
    data = other.array.astype(np.float64).reshape(-1)
    return data if np.isfinite(data).all() else None


def _layers(uses: Uses, y: Value) -> list[Node]:
    """The layers that read a tensor, also through views; empty if anything else does."""
    if y in uses.outputs:
        return []
    found: list[Node] = []
    for node in uses.readers(y):
        if isinstance(node.op, LAYERS) and node["w"].is_const and y not in node.inputs[1:]:
            found.append(node)
        elif op_of(node).is_view and (behind := _layers(uses, node.outputs[0])):
            found += behind
        else:
            return []
    return found


def _takes(node: Node, x: Value, scale: Array, offset: Array) -> bool:
    """Whether a layer can do it: numbers for each channel must be those of its own input's channels."""
    b = node.get("b")
    if (b is not None and not b.is_const) or not (scale.all() and np.isfinite(scale).all()):
        return False
    if max(scale.size, offset.size) == 1:
        return True
    same = node["x"].shape[-1:] == x.shape[-1:]
    grouped = isinstance(node.op, Conv2D) and node["w"].shape[3] != x.shape[-1]
    dense = isinstance(node.op, FullyConnected) and node["w"].shape[1] != x.shape[-1]
    return same and not grouped and not dense


def _absorb(graph: Graph, node: Node, scale: Array, offset: Array) -> None:
    """Weights and bias anew; others may read the old ones."""
    w = node["w"]
    data = w.array.astype(np.float64)
    if isinstance(node.op, DepthwiseConv2D):
        share = w.shape[3] // node["x"].shape[3]
        scale, offset = (np.repeat(v, share) if v.size > 1 else v for v in (scale, offset))
        shifted = (data * offset).sum(axis=(0, 1, 2))
    else:
        shifted = (data * offset).reshape(w.shape[0], -1).sum(axis=1)
    node.inputs[1] = _changed(graph, w, data * scale)
    b = node.get("b")
    if b is not None:
        node.inputs[2] = _changed(graph, b, b.array.astype(np.float64) + shifted)
    elif shifted.any():
        name = graph.unique_name(f"{node.name}/bias")
        bias = Value(name, TensorType(shifted.shape, DType.FLOAT32), shifted.astype(np.float32))
        node.inputs = [*node.inputs[:2], bias]


def _changed(graph: Graph, value: Value, data: Array) -> Value:
    is_shared = sum(v is value for node in graph.nodes for v in node.inputs) > 1
    name = graph.unique_name(f"{value.name}/scaled") if is_shared else value.name
    return dataclasses.replace(value, name=name, data=data.astype(np.float32))
