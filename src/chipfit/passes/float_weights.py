"""Small weights of layers on real numbers as float32: the same numbers, for those who know only such weights."""

from __future__ import annotations

from dataclasses import replace

from chipfit.graph import DType, Graph, Node, Value
from chipfit.ops._weights_only import has_small_weights, real_weights
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected

_LAYERS = (Conv2D, DepthwiseConv2D, FullyConnected)


def float_weights(graph: Graph) -> Graph:
    """The graph with the constant int8 and float16 weights of float layers in float32; the same graph without any.

    Values and nodes of the given graph are left as they are.
    """
    nodes = [_with_float_weights(node) for node in graph.nodes]
    if nodes == graph.nodes:
        return graph
    changed = Graph(graph.name, graph.inputs, graph.outputs, nodes, graph.variables)
    changed.verify()
    return changed


def _with_float_weights(node: Node) -> Node:
    if not isinstance(node.op, _LAYERS) or not has_small_weights(node) or not node["w"].is_const:
        return node
    w = node["w"]
    real = Value(w.name, replace(w.type, dtype=DType.FLOAT32, quant=None), real_weights(w, w.array))
    return Node(node.op, [real if v is w else v for v in node.inputs], node.outputs)
