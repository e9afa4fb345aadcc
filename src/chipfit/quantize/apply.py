"""The edit: a float graph and quantization parameters become an integer graph, all numbers rounded to the nearest."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, Quant, TensorType, Value, take_name
from chipfit.ops import op_of
from chipfit.ops._roles import Weight
from chipfit.ops.dequantize import Dequantize
from chipfit.ops.quantize import Quantize
from chipfit.ops.scan import Scan
from chipfit.quantize.layers import LAYERS, Layer
from chipfit.quantize.parameters import (
    Parameters,
    bias_dtype,
    bias_scales,
    least_weight_scales,
    quantize_array,
    quantize_bias,
    quantize_weights,
    weight_quant,
)
from chipfit.quantize.prepare import ports_of
from chipfit.quantize.recipe import Edge, Recipe
from chipfit.quantize.widths import Form, activations


@dataclass
class Integer:
    """A quantized graph beside the float graph it stands for. Tensors that both have share their name.

    ``origin``: the float node of a quantized node; none for a node that only rescales.
    """

    graph: Graph
    origin: dict[Node, Node]


def to_integer(graph: Graph, found: Parameters, recipe: Recipe) -> Integer:
    """Every layer with its weights and bias rounded to the nearest; inputs and outputs are integers."""
    return _Edit(graph, found, recipe).run()


class _Edit:
    """``forms``: the integer values of float tensors, by width."""

    def __init__(self, graph: Graph, found: Parameters, recipe: Recipe) -> None:
        self.graph, self.found, self.recipe = graph, found, recipe
        self.native = found.widths.native
        self.names = {v.name for v in graph.values()}
        self.taken = {v.name for v, _ in found.quants}
        self.forms: dict[Form, Value] = {}
        self.result = Integer(Graph(graph.name), {})

    def run(self) -> Integer:
        result = self.result.graph
        result.inputs = [self._value(v, self.native.get(v, v.dtype)) for v in self.graph.inputs]
        for node in self.graph.nodes:
            self._node(node)
        pairs = zip(self.graph.outputs, self.found.widths.outputs, strict=True)
        result.outputs = [self._as_output(v, width) for v, width in pairs]
        return self.result

    def _node(self, node: Node) -> None:
        widths = self.found.widths
        inputs = [None if v is None else self._operand(node, v, widths.of(node, v)) for v in node.inputs]
        outputs = [self._value(v, widths.of(node, v)) for v in node.outputs]
        op = op_of(node)
        if isinstance(op, Scan):
            op = replace(op, body=self.found.bodies[node.name])
        first = outputs[0]
        new = Node(op if first.type.quant is None else op.quantized(first.q, first.dtype), inputs, outputs)
        if isinstance(node.op, LAYERS):
            quantize_layer(node, new, self.recipe, self.names, self.taken)
        self.result.graph.nodes.append(new)
        self.result.origin[new] = node

    def _operand(self, node: Node, value: Value, width: DType) -> Value:
        if value not in activations(node):
            return value
        quant = self.found.rescaled.get((node, value))
        read = self._value(value, width)
        return read if quant is None else self._requantize(read, f"{value.name}/rescaled", quant, width)

    def _value(self, value: Value, width: DType) -> Value:
        """A form of a tensor; one that is not stored is made here, before its first reader."""
        quant = self.found.quants.get((value, width))
        if quant is None:
            return value
        made = self.forms.get((value, width))
        if made is None:
            native = self.native.get(value, width)
            name = value.name if native is width else f"{value.name}/{width.value}"
            if value.is_const or native is width:
                data = None if value.data is None else quantize_array(value.data, quant, width)
                made = Value(self._own(name, value), TensorType(value.shape, width, quant), data)
            else:
                made = self._requantize(self.forms[value, native], name, quant, width)
            self.forms[value, width] = made
        return made

    def _own(self, name: str, value: Value) -> str:
        """Constants of two widths need two names."""
        others = [w for v, w in self.forms if v is value]
        return take_name(name, self.names) if others else name

    def _requantize(self, value: Value, name: str, quant: Quant, width: DType) -> Value:
        new = Value(take_name(name, self.names), TensorType(value.shape, width, quant))
        self.result.graph.nodes.append(Node(Quantize(), [value], [new]))
        return new

    def _as_output(self, value: Value, width: DType) -> Value:
        """The output keeps the float tensor's name, whichever form it is."""
        made = self._value(value, width)
        native = self.forms.get((value, self.native.get(value, width)), made)
        if made is not native:
            native.name, made.name = take_name(f"{value.name}/{native.dtype.value}", self.names), value.name
        return made


def quantize_layer(node: Node, new: Node, recipe: Recipe, names: set[str], taken: set[str]) -> None:
    """Weights and bias of their own, also where float layers share a constant: the scales of their inputs differ.

    ``node``: the float layer; ``names``: of the graph; ``taken``: those that a new value has.
    """
    w = node["w"]
    new.inputs[1] = Value(_own_name(w.name, names, taken), w.type)
    round_weights(node, new, recipe)
    own_bias(node, new, names, taken)


def round_weights(node: Node, new: Node, recipe: Recipe) -> None:
    """The weights of a float layer on a grid of their own, in its integer form."""
    layer, x, w = Layer(node), new["x"], node["w"]
    axis = next(role.axis for _, role in ports_of(node) if isinstance(role, Weight))
    quant = weight_quant(w.array, axis, recipe.weights_of(node.name), least_weight_scales(layer.bias, x))
    new["w"].type = TensorType(w.shape, DType.INT8, quant)
    set_weights(new, quantize_weights(w.array, quant))


def own_bias(node: Node, new: Node, names: set[str], taken: set[str]) -> None:
    """A bias that no other layer reads, of the element type that the layer's input asks for."""
    layer, x, b = Layer(node), new.inputs[0], node.get("b")
    assert x is not None
    name = _own_name(b.name, names, taken) if b is not None else take_name(f"{node.name}/bias", names)
    new.inputs[2:] = [Value(name, TensorType((layer.channels,), bias_dtype(x.dtype)))]
    set_bias(new, layer.bias)


def _own_name(name: str, names: set[str], taken: set[str]) -> str:
    name = name if name not in taken else take_name(name, names)
    taken.add(name)
    return name


def set_weights(node: Node, w: Array) -> None:
    """Replace the integers of a layer's weights."""
    node["w"].data = np.ascontiguousarray(w, np.int8)


def set_bias(node: Node, b: Array) -> None:
    """Replace a layer's bias. ``b``: real numbers, (channels,)."""
    value, channels = node["b"], len(b)
    dtype = bias_dtype(node["x"].dtype)
    if dtype.is_float:
        value.data = b.astype(np.float32)
        return
    scales = bias_scales(node["x"].q.s, node["w"].q, channels)
    per_channel = node["w"].q.axis is not None
    kept = tuple((scales if per_channel else scales[:1]).tolist())
    value.type = TensorType(value.shape, dtype, Quant(kept, (0,) * len(kept), 0 if per_channel else None))
    value.data = quantize_bias(b, scales, dtype)


def convert_edges(graph: Graph, recipe: Recipe, keep: Collection[Value] = ()) -> None:
    """Give inputs and outputs the element types that the recipe asks for, by operators at the edges, in place.

    ``keep``: those that stay as they are.
    """
    for i, value in enumerate(graph.inputs):
        if recipe.input in ("uint8", "float32") and value.type.quant is not None and value not in keep:
            outer = _outer(graph, value, recipe.input)
            graph.inputs[i] = outer
            graph.nodes.insert(0, Node(Quantize(), [outer], [value]))
    for i, value in enumerate(graph.outputs):
        if recipe.output in ("uint8", "float32") and value.type.quant is not None and value not in keep:
            outer = _outer(graph, value, recipe.output)
            op = Dequantize() if outer.dtype.is_float else Quantize()
            graph.nodes.append(Node(op, [value], [outer]))
            graph.outputs[i] = outer


def _outer(graph: Graph, value: Value, edge: Edge) -> Value:
    """The tensor at the edge takes the name of the one behind it."""
    name = value.name
    value.name = graph.unique_name(f"{name}/{value.dtype.value}")
    if edge == "float32":
        return Value(name, TensorType(value.shape, DType.FLOAT32))
    return Value(name, TensorType(value.shape, DType.UINT8, Quant.per_tensor(value.q.s, value.q.zp + 128)))
