"""Let inputs and outputs have their channels last, as cameras and files of pictures have them."""

from __future__ import annotations

from collections.abc import Callable

from chipfit.graph import Graph, Node, Value
from chipfit.graph.rewrite import PipelineReport
from chipfit.ops import op_of
from chipfit.ops.transpose import Transpose
from chipfit.passes._transposes_orders import Order, inverse, stored_type

_FEWEST_AXES = 3


def with_channels_last(graph: Graph, run: Callable[[Graph], PipelineReport]) -> tuple[Graph, tuple[str, ...]]:
    """The graph with inputs and outputs (n, h, w, c) and (n, l, c) in place of (n, c, h, w) and (n, c, l), and a line
    for each that changed; the same graph if there are none. ``run``: the pipeline, which the graph has been through.

    Which they are, the layers say: those where less is left to be moved if the channels are last. Names stay; so does
    the given graph.
    """
    notes: list[str] = []
    for is_input in (True, False):
        for i in range(len(graph.inputs if is_input else graph.outputs)):
            port = (graph.inputs if is_input else graph.outputs)[i]
            if len(port.shape) < _FEWEST_AXES or (port in graph.inputs and port in graph.outputs):
                continue
            other = graph.copy()
            (_exchange_input if is_input else _exchange_output)(other, i)
            report = run(other)
            if _moved(other) < _moved(graph):
                graph = other
                changed = (graph.inputs if is_input else graph.outputs)[i]
                notes += [f"channels_last: '{port.name}' {port.type} is {changed.type}", *report.summary()]
    return graph, tuple(notes)


def _exchange_input(graph: Graph, i: int) -> None:
    old = graph.inputs[i]
    order = _last(old)
    graph.inputs[i] = Value(old.name, stored_type(old.type, order))
    graph.nodes.insert(0, Node(Transpose(inverse(order)), [graph.inputs[i]], [old]))
    old.name = _inner_name(graph, old.name)


def _exchange_output(graph: Graph, i: int) -> None:
    old = graph.outputs[i]
    order = _last(old)
    graph.outputs[i] = Value(old.name, stored_type(old.type, order))
    graph.nodes.append(Node(Transpose(order), [old], [graph.outputs[i]]))
    old.name = _inner_name(graph, old.name)


def _last(value: Value) -> Order:
    return (0, *range(2, len(value.shape)), 1)


def _inner_name(graph: Graph, name: str) -> str:
    """For the tensor inside of which the channels are first."""
    names, found = {value.name for value in graph.values()}, f"{name}/channels_first"
    while found in names:
        found += "_"
    return found


def _moved(graph: Graph) -> tuple[int, int, int]:
    """What less of is better: bytes that transpositions move, their number, and that of views."""
    transposes = [node for node in graph.nodes if isinstance(node.op, Transpose)]
    views = sum(1 for node in graph.nodes if op_of(node).is_view)
    return sum(node["x"].type.nbytes for node in transposes), len(transposes), views
