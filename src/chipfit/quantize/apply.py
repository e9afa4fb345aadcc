"""The edit: a float graph and quantization parameters become an int8 graph, every number rounded to the nearest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, Quant, TensorType, Value
from chipfit.ops import op_of
from chipfit.ops._roles import Weight
from chipfit.ops.dequantize import Dequantize
from chipfit.ops.quantize import Quantize
from chipfit.quantize.layers import LAYERS, Layer
from chipfit.quantize.parameters import (
    Parameters,
    bias_scales,
    quantize_array,
    quantize_bias,
    quantize_weights,
    weight_quant,
)
from chipfit.quantize.prepare import ports_of
from chipfit.quantize.recipe import Edge, Recipe


@dataclass
class Integer:
    """An int8 graph beside the float graph it stands for. Tensors that both have share their name.

    ``origin``: the float node of an int8 node; none for a node that only rescales.
    """

    graph: Graph
    origin: dict[Node, Node]


def to_integer(graph: Graph, found: Parameters, recipe: Recipe) -> Integer:
    """Every layer with its weights and bias rounded to the nearest; inputs and outputs int8."""
    values: dict[Value, Value] = {}
    for value in graph.values():
        quant = found.quants.get(value)
        values[value] = value if quant is None else _int8_value(value, quant)
    integer = Integer(Graph(graph.name, [values[v] for v in graph.inputs]), {})
    names = {v.name for v in graph.values()}
    taken = {v.name for v in found.quants}
    for node in graph.nodes:
        inputs = [None if v is None else values[v] for v in node.inputs]
        for i, value in enumerate(node.inputs):
            quant = found.bridges.get((node, value)) if value is not None else None
            if value is not None and quant is not None:
                inputs[i] = _bridge(integer.graph, values[value], quant, names)
        outputs = [values[v] for v in node.outputs]
        op = op_of(node)
        new = Node(op.quantized(outputs[0].q) if outputs[0].dtype is DType.INT8 else op, inputs, outputs)
        if isinstance(node.op, LAYERS):
            _quantize_layer(node, new, recipe, names, taken)
        integer.graph.nodes.append(new)
        integer.origin[new] = node
    integer.graph.outputs = [values[v] for v in graph.outputs]
    return integer


def _int8_value(value: Value, quant: Quant) -> Value:
    data = None if value.data is None else quantize_array(value.data, quant)
    return Value(value.name, TensorType(value.shape, DType.INT8, quant), data)


def _bridge(graph: Graph, value: Value, quant: Quant, names: set[str]) -> Value:
    new = Value(_fresh(f"{value.name}/rescaled", names), TensorType(value.shape, DType.INT8, quant))
    graph.nodes.append(Node(Quantize(), [value], [new]))
    return new


def _fresh(base: str, names: set[str]) -> str:
    name, n = base, 1
    while name in names:
        name, n = f"{base}_{n}", n + 1
    names.add(name)
    return name


def _quantize_layer(node: Node, new: Node, recipe: Recipe, names: set[str], taken: set[str]) -> None:
    """Weights and bias of their own, also where float layers share a constant: the scales of their inputs differ."""

    def own_name(value: Value) -> str:
        name = value.name if value.name not in taken else _fresh(value.name, names)
        taken.add(name)
        return name

    layer, x, w = Layer(node), new.inputs[0], node["w"]
    assert x is not None
    axis = next(role.axis for _, role in ports_of(node) if isinstance(role, Weight))
    quant = weight_quant(w.array, axis, recipe.weights_of(node.name), layer.bias, x.q.s)
    new.inputs[1] = Value(own_name(w), TensorType(w.shape, DType.INT8, quant))
    set_weights(new, quantize_weights(w.array, quant))
    b = node.get("b")
    name = own_name(b) if b is not None else _fresh(f"{node.name}/bias", names)
    new.inputs[2:] = [Value(name, TensorType((layer.channels,), DType.INT32))]
    set_bias(new, layer.bias)


def set_weights(node: Node, w: Array) -> None:
    """Replace the integers of a layer's weights."""
    node["w"].data = np.ascontiguousarray(w, np.int8)


def set_bias(node: Node, b: Array) -> None:
    """Replace a layer's bias. ``b``: real numbers, (channels,)."""
    value, channels = node["b"], len(b)
    scales = bias_scales(node["x"].q.s, node["w"].q, channels)
    per_channel = node["w"].q.axis is not None
    kept = tuple(float(s) for s in (scales if per_channel else scales[:1]))
    value.type = TensorType(value.shape, DType.INT32, Quant(kept, (0,) * len(kept), 0 if per_channel else None))
    value.data = quantize_bias(b, scales)


_CONVERTED: dict[Edge, DType] = {"uint8": DType.UINT8, "float32": DType.FLOAT32}


def convert_edges(graph: Graph, recipe: Recipe) -> None:
    """Give inputs and outputs the element types that the recipe asks for, by operators at the edges, in place."""
    for i, value in enumerate(graph.inputs):
        if recipe.input in _CONVERTED and value.dtype is DType.INT8:
            outer = _outer(value, recipe.input)
            value.name = graph.unique_name(f"{outer.name}/int8")
            graph.inputs[i] = outer
            graph.nodes.insert(0, Node(Quantize(), [outer], [value]))
    for i, value in enumerate(graph.outputs):
        if recipe.output in _CONVERTED and value.dtype is DType.INT8:
            outer = _outer(value, recipe.output)
            value.name = graph.unique_name(f"{outer.name}/int8")
            op = Dequantize() if outer.dtype.is_float else Quantize()
            graph.nodes.append(Node(op, [value], [outer]))
            graph.outputs[i] = outer


def _outer(value: Value, edge: Edge) -> Value:
    quant = Quant.per_tensor(value.q.s, value.q.zp + 128) if edge == "uint8" else None
    return Value(value.name, TensorType(value.shape, _CONVERTED[edge], quant))
