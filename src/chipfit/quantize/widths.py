"""Which operators and tensors of an integer graph are int8 and which int16.

A recipe names tensors. An operator that reads or writes an int16 tensor runs in int16 as a whole, since there is none
that reads one width and writes the other but QUANTIZE. So a tensor can be needed in both widths: it is stored as its
producer writes it, and one QUANTIZE, shared by all readers, makes the other form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chipfit.graph import DType, Graph, Node, Value
from chipfit.ops import op_of
from chipfit.ops._roles import Act, Fixed, Shared
from chipfit.quantize.prepare import ports_of
from chipfit.quantize.recipe import Edge, Recipe

Form = tuple[Value, DType]
"""A float tensor as integers of one width."""

_EDGES: dict[Edge, DType] = {"int8": DType.INT8, "uint8": DType.INT8, "int16": DType.INT16}
"""The width that stands behind an element type at the edge; float32: any."""


@dataclass
class Widths:
    """``nodes``: of an operator's activations. ``native``: what is stored of a tensor that is computed or given.
    ``outputs``: what the graph hands out. ``notes``: for people."""

    nodes: dict[Node, DType] = field(default_factory=dict[Node, DType])
    native: dict[Value, DType] = field(default_factory=dict[Value, DType])
    outputs: list[DType] = field(default_factory=list[DType])
    notes: list[str] = field(default_factory=list[str])

    def bridged(self, graph: Graph) -> list[Form]:
        """Forms that a QUANTIZE makes: those that are needed but not stored."""
        needed = [(v, width) for node, width in self.nodes.items() for v in activations(node)]
        needed += zip(graph.outputs, self.outputs, strict=True)
        return [(v, width) for v, width in dict.fromkeys(needed) if self.native.get(v, width) is not width]


def widths(graph: Graph, recipe: Recipe, ties: Sequence[tuple[Value, Value]] = ()) -> Widths:
    """The widths that a recipe of integers asks for. ``ties``: an input and a computed value of the same width."""
    found = Widths()
    for value in graph.inputs:
        if value.dtype.is_float:
            found.native[value] = _at_edge(value, recipe, recipe.input)
    narrow: list[str] = []
    for node in graph.nodes:
        wide = any(_wanted(v, recipe) is DType.INT16 for v in activations(node) if not v.is_const)
        if wide and not op_of(node).quant.int16:
            narrow.append(f"{node.op.name} '{node.name}'")
            wide = False
        found.nodes[node] = DType.INT16 if wide else DType.INT8
        found.native.update((v, found.nodes[node]) for v in node.outputs if v.dtype.is_float)
    if narrow:
        found.notes.append(f"these stay in int8, since they have no int16 form: {', '.join(narrow)}")
    for given, computed in ties:
        if given in found.native:
            found.native[given] = found.native[computed]
    for value in graph.outputs:
        own = found.native.get(value, value.dtype)
        any_form = recipe.output == "float32" or value not in found.native
        found.outputs.append(own if any_form else _at_edge(value, recipe, recipe.output))
    return found


def activations(node: Node) -> list[Value]:
    """The float tensors of a node that are no weights or biases, constants included."""
    return [v for v, role in ports_of(node) if isinstance(role, Act | Shared | Fixed)]


def _wanted(value: Value, recipe: Recipe) -> DType:
    return DType.INT16 if recipe.width_of(value.name) == "int16" else DType.INT8


def _at_edge(value: Value, recipe: Recipe, edge: Edge | None) -> DType:
    return _wanted(value, recipe) if edge is None else _EDGES.get(edge, _wanted(value, recipe))
