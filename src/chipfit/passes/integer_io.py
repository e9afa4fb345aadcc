"""Let the application hand over the stored integers itself: no QUANTIZE at the inputs, no DEQUANTIZE at the outputs."""

from __future__ import annotations

from chipfit.graph import Graph, Node, TensorType, Value
from chipfit.ops.dequantize import Dequantize
from chipfit.ops.quantize import Quantize


def integer_io(graph: Graph) -> Graph:
    """The graph without the conversions between float32 and integers at its ends; the same graph if there are none.

    An input that a QUANTIZE alone reads takes its output's type, an output that a DEQUANTIZE makes its input's; names
    stay. Values and nodes of the given graph are left as they are.
    """
    consumers, producers = graph.consumers(), graph.producers()
    replaced: dict[Value, Value] = {}
    inputs, outputs = list(graph.inputs), list(graph.outputs)
    gone: set[Node] = set()
    for i, value in enumerate(graph.inputs):
        readers = consumers.get(value, [])
        if len(readers) == 1 and isinstance(readers[0].op, Quantize) and value.dtype.is_float and value not in outputs:
            inner = readers[0].outputs[0]
            inputs[i] = replaced[inner] = _renamed(inner, value.name)
            gone.add(readers[0])
    for i, value in enumerate(graph.outputs):
        producer = producers.get(value)
        if producer is None or not isinstance(producer.op, Dequantize) or consumers.get(value):
            continue
        inner = producer["x"]
        if inner in graph.inputs or inner in graph.outputs or inner.is_const or inner in replaced:
            continue
        outputs[i] = replaced[inner] = _renamed(inner, value.name)
        gone.add(producer)
    if not gone:
        return graph
    nodes = [_with(node, replaced) for node in graph.nodes if node not in gone]
    changed = Graph(graph.name, inputs, [replaced.get(v, v) for v in outputs], nodes, graph.variables)
    changed.verify()
    return changed


def _renamed(value: Value, name: str) -> Value:
    return Value(name, TensorType(value.shape, value.dtype, value.type.quant))


def _with(node: Node, replaced: dict[Value, Value]) -> Node:
    inputs = [None if v is None else replaced.get(v, v) for v in node.inputs]
    return Node(node.op, inputs, [replaced.get(v, v) for v in node.outputs])
