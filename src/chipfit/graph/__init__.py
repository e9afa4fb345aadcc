"""The graph: what a network is while chipfit works on it."""

from chipfit.graph.graph import Graph, Node, OpBase, Value, Variable, take_name
from chipfit.graph.types import Array, DType, Quant, Shape, TensorType

__all__ = [
    "Array",
    "DType",
    "Graph",
    "Node",
    "OpBase",
    "Quant",
    "Shape",
    "TensorType",
    "Value",
    "Variable",
    "take_name",
]
