"""Which operators and tensors of an integer graph are int8 and which int16.

A recipe names tensors. An operator that reads or writes an int16 tensor runs in int16 as a whole, since there is none
that reads one width and writes the other but QUANTIZE. So a tensor can be needed in both widths: it is stored as its
producer writes it, and one QUANTIZE, shared by all readers, makes the other form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chipfit.graph import DType, Graph, Node, Value
from chipfit.ops import op_of
from chipfit.ops._roles import Act, Fixed, Shared
from chipfit.ops.logistic import Logistic
from chipfit.ops.scan import Scan
from chipfit.ops.tanh import Tanh
from chipfit.quantize.prepare import ports_of
from chipfit.quantize.recipe import Edge, Recipe

Form = tuple[Value, DType]
"""A float tensor as integers of one width."""

_EDGES: dict[Edge, DType] = {"int8": DType.INT8, "uint8": DType.INT8, "int16": DType.INT16}
"""The width that stands behind an element type at the edge; float32: any."""


@dataclass
class Widths:
    """``nodes``: of an operator's activations; ``ports``: of those of a SCAN, each for itself. ``native``: what is
    stored of a tensor that is computed or given. ``outputs``: what the graph hands out. ``notes``: for people."""

    nodes: dict[Node, DType] = field(default_factory=dict[Node, DType])
    ports: dict[tuple[Node, Value], DType] = field(default_factory=dict[tuple[Node, Value], DType])
    native: dict[Value, DType] = field(default_factory=dict[Value, DType])
    outputs: list[DType] = field(default_factory=list[DType])
    notes: list[str] = field(default_factory=list[str])

    def of(self, node: Node, value: Value) -> DType:
        """In which width an operator reads or writes a tensor."""
        return self.ports.get((node, value), self.nodes[node])

    def bridged(self, graph: Graph) -> list[Form]:
        """Forms that a QUANTIZE makes: those that are needed but not stored."""
        needed = [(v, self.of(node, v)) for node in self.nodes for v in activations(node)]
        needed += zip(graph.outputs, self.outputs, strict=True)
        return [(v, width) for v, width in dict.fromkeys(needed) if self.native.get(v, width) is not width]


def widths(graph: Graph, recipe: Recipe, ties: Sequence[tuple[Value, Value]] = ()) -> Widths:
    """The widths that a recipe of integers asks for.

    ``ties``: states: an input, and the output of the same width that it takes. One that sums up is int16 unless a rule
    says otherwise.
    """
    found = Widths()
    sums = {v for given, computed in ties if _sums_up(graph, computed) for v in (given, computed)}
    sums = {v for v in sums if not recipe.names_width_of(v.name)}
    for value in graph.inputs:
        if value.dtype.is_float:
            found.native[value] = _at_edge(value, recipe, recipe.input)
    narrow: list[str] = []
    for node in graph.nodes:
        if isinstance(node.op, Scan):
            found.notes += _of_scan(found, node, node.op, recipe)
            continue
        wide = any(v in sums or _wanted(v, recipe) is DType.INT16 for v in activations(node) if not v.is_const)
        if wide and not op_of(node).quant.int16:
            narrow.append(f"{node.op.name} '{node.name}'")
            wide = False
        found.nodes[node] = DType.INT16 if wide else DType.INT8
        found.native.update((v, found.nodes[node]) for v in node.outputs if v.dtype.is_float)
    if narrow:
        found.notes.append(f"these stay in int8, since they have no int16 form: {', '.join(narrow)}")
    for value in graph.outputs:
        own = found.native.get(value, value.dtype)
        any_form = recipe.output == "float32" or value not in found.native
        wanted = DType.INT16 if value in sums else _at_edge(value, recipe, recipe.output)
        found.outputs.append(own if any_form else wanted)
    for given, computed in ties:
        if given in found.native:
            found.native[given] = found.outputs[graph.outputs.index(computed)]
    return found


def _sums_up(graph: Graph, state: Value) -> bool:
    """Whether only functions with bounds look at a state: it is bounded by nothing itself, such as the cell of an LSTM.

    8 bits for all that it may become are too coarse: TensorFlow Lite's LSTM has 16 for it, too.
    """
    readers = graph.consumers().get(state, [])
    return bool(readers) and all(isinstance(node.op, Tanh | Logistic) for node in readers)


def _of_scan(found: Widths, node: Node, op: Scan, recipe: Recipe) -> list[str]:
    """What goes into a SCAN and comes out of it is as wide as in its body; a state is as wide before as after."""
    body = op.body
    ties = list(zip(body.inputs[op.sequences :], body.outputs, strict=False))
    inner = widths(body, inside(recipe), ties)
    found.nodes[node] = DType.INT8
    inputs = zip(node.operands, body.inputs, strict=True)
    ends, made = op.given(node)
    outputs = [*zip(ends, inner.outputs, strict=False), *zip(made, [inner.outputs[i] for i in op.emitted], strict=True)]
    found.ports.update({(node, v): inner.native[part] for v, part in inputs if part in inner.native})
    found.ports.update({(node, v): width for v, width in outputs})
    found.native.update({v: width for v, width in outputs if v.dtype.is_float})
    return inner.notes


def inside(recipe: Recipe) -> Recipe:
    """The recipe for a graph inside of another one: its inputs and outputs are as wide as the recipe names them."""
    return replace(recipe, input=None, output=None)


def activations(node: Node) -> list[Value]:
    """The float tensors of a node that are no weights or biases, constants included."""
    return [v for v, role in ports_of(node) if isinstance(role, Act | Shared | Fixed)]


def _wanted(value: Value, recipe: Recipe) -> DType:
    return DType.INT16 if recipe.width_of(value.name) == "int16" else DType.INT8


def _at_edge(value: Value, recipe: Recipe, edge: Edge | None) -> DType:
    return _wanted(value, recipe) if edge is None else _EDGES.get(edge, _wanted(value, recipe))
