"""The float graph in a form that suits the KPU: the same function of real numbers, with other nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Node, TensorType, Value
from chipfit.kmodel.compile.functions import is_function
from chipfit.ops import Op
from chipfit.ops.add import Add
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.mul import Mul
from chipfit.ops.prelu import PRelu
from chipfit.ops.relu import Relu
from chipfit.ops.relu6 import Relu6
from chipfit.ops.relu_n1_to_1 import ReluN1To1
from chipfit.ops.sub import Sub

_ACTIVATIONS: dict[str, Op] = {"relu": Relu(), "relu6": Relu6(), "relu_n1_to_1": ReluN1To1()}


def prepare(graph: Graph) -> Graph:
    """A copy with activations as nodes of their own, each function right behind its convolution, factors and offsets
    of channels in the weights, and a PReLU as two convolutions.

    Raises ChipfitError O002 for a graph with state, or with a tensor that is not float32.
    """
    made = graph.copy()
    _require_float(made)
    for step in (_unfold, _fold_channels, _split_prelu, _before_concatenation):
        step(made)
    made.verify()
    return made


def _require_float(graph: Graph) -> None:
    if graph.variables:
        raise ChipfitError(
            "O002", f"'{graph.name}' keeps state between runs, which a kmodel cannot", "convert the whole model"
        )
    for value in (v for n in graph.nodes for v in n.outputs):
        if value.dtype is not DType.FLOAT32:
            raise ChipfitError(
                "O002",
                f"'{value.name}' is {value.type}: a kmodel is made of a float32 model",
                "start from the model as it was before it was quantized",
            )


class Edit:
    """Nodes that are put into a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.names = {v.name for v in graph.values()}

    def node(self, op: Op, inputs: Sequence[Value], name: str) -> Node:
        """A node and its output, whose shape follows; it is in no graph yet."""
        node = Node(op, list(inputs), [])
        (shape,) = op.infer(node)
        node.outputs.append(Value(self.unique(name), TensorType(tuple(shape), DType.FLOAT32)))
        return node

    def constant(self, data: Array, name: str) -> Value:
        array = np.ascontiguousarray(data, np.float32)
        return Value(self.unique(name), TensorType(array.shape, DType.FLOAT32), array)

    def unique(self, name: str) -> str:
        found, n = name, 1
        while found in self.names:
            found, n = f"{name}_{n}", n + 1
        self.names.add(found)
        return found


def _unfold(graph: Graph) -> None:
    """Fused activations as nodes: the sum before them is a tensor, whose range is seen."""
    edit = Edit(graph)
    nodes: list[Node] = []
    for node in graph.nodes:
        act = node.op.attributes().get("act", "none")
        if act == "none":
            nodes.append(node)
            continue
        op: Any = node.op
        result = node.outputs[0]
        inner = Value(edit.unique(f"{result.name}/sum"), result.type)
        nodes.append(Node(replace(op, act="none"), node.inputs, [inner]))
        nodes.append(Node(_ACTIVATIONS[act], [inner], [result]))
    graph.nodes = nodes


def _fold_channels(graph: Graph) -> None:
    """A factor or an offset for each channel behind a convolution goes into its weights and bias."""
    edit = Edit(graph)
    changed = True
    while changed:
        changed = False
        producers, consumers = graph.producers(), graph.consumers()
        for node in graph.nodes:
            found = _channel_constant(node, producers)
            if found is None:
                continue
            layer, constant = found
            if len(consumers[layer["y"]]) != 1 or layer["y"] in graph.outputs:
                continue
            _fold_into(edit, layer, node, constant)
            layer.outputs = node.outputs
            graph.nodes = [n for n in graph.nodes if n is not node]
            changed = True
            break


def _channel_constant(node: Node, producers: dict[Value, Node]) -> tuple[Node, Array] | None:
    if not isinstance(node.op, Add | Sub | Mul) or len(node.operands) != 2:
        return None
    a, b = node.operands
    if a.is_const and not isinstance(node.op, Sub):
        a, b = b, a
    layer = producers.get(a)
    if layer is None or not b.is_const or not isinstance(layer.op, Conv2D | DepthwiseConv2D):
        return None
    channels = a.shape[-1]
    if b.type.size not in (1, channels) or (b.type.size > 1 and b.shape[-1] != channels) or a.shape != node["y"].shape:
        return None
    return layer, np.broadcast_to(b.array.reshape(-1), (channels,)).astype(np.float64)


def _fold_into(edit: Edit, layer: Node, node: Node, constant: Array) -> None:
    w, b = layer["w"], layer.get("b")
    bias = np.zeros(len(constant)) if b is None else b.array.astype(np.float64)
    if isinstance(node.op, Mul):
        axis = 3 if isinstance(layer.op, DepthwiseConv2D) else 0
        shape = [-1 if i == axis else 1 for i in range(4)]
        layer.inputs[1] = edit.constant(w.array * constant.reshape(shape), f"{w.name}/scaled")
        bias = bias * constant
    else:
        bias = bias + (-constant if isinstance(node.op, Sub) else constant)
    new = edit.constant(bias, f"{layer.name}/bias")
    layer.inputs = [layer.inputs[0], layer.inputs[1], new]


def _split_prelu(graph: Graph) -> None:
    """PReLU with a slope for each channel: relu(x) and relu(-x) from one convolution, and a 1x1 convolution of both.

    The KPU has one table for all channels of a layer, so that two layers do what one cannot.
    """
    edit = Edit(graph)
    nodes: list[Node] = []
    producers, consumers = graph.producers(), graph.consumers()
    for node in graph.nodes:
        layer = producers.get(node.operands[0]) if isinstance(node.op, PRelu) else None
        if layer is None or not isinstance(layer.op, Conv2D) or not _by_channel(node):
            nodes.append(node)
            continue
        sum_ = layer["y"]
        if consumers[sum_] != [node] or sum_ in graph.outputs:
            nodes.append(node)
            continue
        nodes.remove(layer)
        w, b = layer["w"].array, layer.get("b")
        channels = len(w)
        bias = np.zeros(channels) if b is None else b.array
        both = edit.node(
            layer.op,
            [
                layer["x"],
                edit.constant(np.concatenate([w, -w]), f"{layer['w'].name}/both"),
                edit.constant(np.concatenate([bias, -bias]), f"{sum_.name}/bias"),
            ],
            f"{sum_.name}/both",
        )
        halves = edit.node(Relu(), both.outputs, f"{sum_.name}/halves")
        slope = np.broadcast_to(node.operands[1].array.reshape(-1), (channels,))
        join = np.concatenate([np.eye(channels), -np.diag(slope)], axis=1).reshape(channels, 1, 1, 2 * channels)
        last = Node(Conv2D(), [halves.outputs[0], edit.constant(join, f"{node.name}/join")], node.outputs)
        nodes += [both, halves, last]
    graph.nodes = nodes


def _by_channel(node: Node) -> bool:
    """Whether a PReLU has different slopes, one for each channel."""
    slope = node.operands[1]
    channels = node.operands[0].shape[-1]
    if not slope.is_const or slope.type.size != channels or channels == 1:
        return False
    return not bool((slope.array == slope.array.reshape(-1)[0]).all())


def _before_concatenation(graph: Graph) -> None:
    """A function of one number behind a concatenation goes before it, where it is part of the layers there."""
    edit = Edit(graph)
    for node in list(graph.nodes):
        if not isinstance(node.op, Concatenation):
            continue
        joined = node["y"]
        while True:
            readers = graph.consumers().get(joined, [])
            if len(readers) != 1 or joined in graph.outputs or not is_function(readers[0]):
                break
            reader = readers[0]
            if len(reader.operands) != 1 or not _convolutions_only(graph, node):
                break
            at = graph.nodes.index(node)
            moved = [edit.node(reader.op, [v], f"{reader.name}/{i}") for i, v in enumerate(node.operands)]  # pyright: ignore[reportArgumentType]
            node.inputs = [one.outputs[0] for one in moved]
            node.outputs, joined = reader.outputs, reader.outputs[0]
            rest = [n for n in graph.nodes if n is not reader]
            graph.nodes = [*rest[:at], *moved, *rest[at:]]


def _convolutions_only(graph: Graph, node: Node) -> bool:
    """Whether all that is concatenated comes from convolutions, or functions of them, that nobody else reads."""
    producers, consumers = graph.producers(), graph.consumers()
    for value in node.operands:
        if len(consumers.get(value, [])) != 1 or value in graph.outputs:
            return False
        before = producers.get(value)
        while before is not None and is_function(before) and len(before.operands) == 1:
            before = producers.get(before.operands[0])
        if before is None or not isinstance(before.op, Conv2D | DepthwiseConv2D):
            return False
    return True
