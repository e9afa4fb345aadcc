"""The float graph that is quantized: a copy that may be changed, and the reasons why a graph cannot be quantized."""

from __future__ import annotations

from collections.abc import Iterator

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Graph, Node, Value
from chipfit.ops import op_of
from chipfit.ops._roles import Bias, Role, Weight
from chipfit.ops.arg_max import ArgMax
from chipfit.ops.dequantize import Dequantize
from chipfit.ops.log_softmax import LogSoftmax
from chipfit.ops.logistic import Logistic
from chipfit.ops.quantize import Quantize
from chipfit.ops.scan import Scan
from chipfit.ops.softmax import Softmax
from chipfit.quantize.layers import LAYERS

_HEADS = (Softmax, LogSoftmax, Logistic, ArgMax, Quantize, Dequantize)
"""What only turns the numbers that a network is judged by into probabilities or a choice."""


def ports_of(node: Node) -> list[tuple[Value, Role | None]]:
    """The float tensors of a node, inputs first, each with its role."""
    found: list[tuple[Value, Role | None]] = []
    quant = op_of(node).quant
    for ports, values in ((node.op.inputs, node.inputs), (node.op.outputs, node.outputs)):
        names = [*ports, *([ports[-1]] * (len(values) - len(ports)) if ports else [])]
        found += [(v, quant.of(p)) for p, v in zip(names, values, strict=False) if v is not None and v.dtype.is_float]
    return found


def require_float(graph: Graph) -> None:
    """Raise ChipfitError Q004 unless the graph is one of floats without state."""
    if graph.variables:
        names = ", ".join(graph.variables)
        raise ChipfitError("Q004", f"the model keeps state between runs ({names})", "quantize it before it is streamed")
    for value in [v for n in graph.nodes for v in (*n.operands, *n.outputs)]:
        if value.type.quant is not None or value.dtype is DType.FLOAT16:
            raise ChipfitError(
                "Q004",
                f"the model is quantized already: '{value.name}' is {value.type}",
                "start from the float32 model that it was made of",
            )


def require_integer_form(graph: Graph) -> None:
    """Raise ChipfitError Q004, with all the reasons, unless a float graph can become an integer graph."""
    if not any(role for n in graph.nodes for _, role in ports_of(n)):
        raise ChipfitError("Q004", "the model computes nothing in float32", "start from a float32 model")
    reasons = [reason for node in all_nodes(graph) if (reason := _why_not(node)) is not None]
    if reasons:
        raise ChipfitError("Q004", f"the model cannot become int8: {'; '.join(reasons)}")


def all_nodes(graph: Graph) -> Iterator[Node]:
    """The nodes of a graph and of the bodies inside of it."""
    for node in graph.nodes:
        yield node
        if isinstance(node.op, Scan):
            yield from all_nodes(node.op.body)


def _why_not(node: Node) -> str | None:
    for value, role in ports_of(node):
        if role is None:
            return f"{node.op.name} '{node.name}' has no int8 form"
        if isinstance(role, Weight | Bias) and not value.is_const:
            return f"'{value.name}' of {node.op.name} '{node.name}' is computed, not constant"
        if value.dtype is not DType.FLOAT32:
            return f"'{value.name}' of {node.op.name} '{node.name}' is {value.dtype.value}"
        if value.data is not None and not is_finite(value):
            return f"constant '{value.name}' of {node.op.name} '{node.name}' is not finite"
    return None


def is_finite(value: Value) -> bool:
    """Whether all elements of a constant are numbers."""
    # the sum of a finite constant is finite in double precision; one pass, no mask
    total = float(value.array.sum(dtype="float64"))
    return total - total == 0.0


def judged(graph: Graph) -> Value:
    """What a network is judged by: its first output, before the softmax."""
    producers, value = graph.producers(), graph.outputs[0]
    while value in producers:
        node = producers[value]
        if not (isinstance(node.op, _HEADS) or (op_of(node).is_view and value is not node["x"])):
            return value
        value = node["x"]
    return value


def judged_part(graph: Graph) -> Graph:
    """The graph up to what the network is judged by, which is its only output."""
    target = judged(graph)
    last = max((i for i, node in enumerate(graph.nodes) if target in node.outputs), default=-1)
    return Graph(graph.name, graph.inputs, [target], graph.nodes[: last + 1])


def before_layers(graph: Graph) -> set[Value]:
    """The tensors from which a layer with weights is still to be computed."""
    found: set[Value] = set()
    for node in reversed(graph.nodes):
        if isinstance(node.op, (*LAYERS, Scan)) or not found.isdisjoint(node.outputs):
            found.update(node.operands)
    return found
