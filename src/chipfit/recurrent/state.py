"""What state a SCAN begins with: none, what the last run left, or what the application hands in."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Graph, Node, Value, Variable, take_name
from chipfit.ops.assign_variable import AssignVariable
from chipfit.ops.read_variable import ReadVariable
from chipfit.ops.scan import Scan

StateMode = Literal["reset", "kept", "io"]
"""``reset``: each run begins anew. ``kept``: with what the last run left. ``io``: states are inputs and outputs."""

STATE_MODES: tuple[StateMode, ...] = get_args(StateMode)


def free_states(graph: Graph) -> list[tuple[Node, int]]:
    """The states that the model itself begins with a constant: the SCAN, and the state's number."""
    return [
        (node, i)
        for node in graph.nodes
        if isinstance(node.op, Scan)
        for i, state in enumerate(node.op.taken(node)[1])
        if state.is_const
    ]


def with_state(graph: Graph, mode: StateMode) -> Graph:
    """The graph whose SCANs begin so; states that the model itself computes or takes stay as they are.

    ``io`` names them ``<name>_in`` and ``<name>_out``, ``kept`` makes variables of that name. Raises ChipfitError U001
    for another mode, or where there is no state.
    """
    if mode not in STATE_MODES:
        raise ChipfitError("U001", f"'{mode}' is no way to keep state", f"one of {', '.join(STATE_MODES)}")
    if mode == "reset":
        return graph
    result = graph.copy()
    found = free_states(result)
    if not found:
        raise ChipfitError("U001", f"{graph.name} has no recurrent layer whose state chipfit could keep")
    change = _taken_and_given if mode == "io" else _kept
    for node, index in found:
        change(result, node, index)
    result.verify()
    return result


def _name(node: Node, index: int) -> str:
    op = node.op
    assert isinstance(op, Scan)
    return op.body.inputs[op.sequences + index].name


def _free_name(graph: Graph, base: str) -> str:
    """A name that no variable has."""
    return take_name(base, set(graph.variables))


def _replaced(node: Node, index: int, new: Value) -> Value:
    """Let the SCAN begin with another value; what it began with."""
    op = node.op
    assert isinstance(op, Scan)
    old = node.inputs[op.sequences + index]
    assert old is not None
    node.inputs[op.sequences + index] = new
    return old


def _taken_and_given(graph: Graph, node: Node, index: int) -> None:
    end, name = node.outputs[index], _name(node, index)
    state = Value(graph.unique_name(f"{name}_in"), end.type)
    _replaced(node, index, state)
    graph.inputs.append(state)
    if end not in graph.outputs:
        end.name = graph.unique_name(f"{name}_out")
        graph.outputs.append(end)


def _kept(graph: Graph, node: Node, index: int) -> None:
    end, name = node.outputs[index], _name(node, index)
    old = Value(graph.unique_name(f"{name}_kept"), end.type)
    before = _replaced(node, index, old)
    name = _free_name(graph, name)
    graph.variables[name] = Variable(name, end.type, np.ascontiguousarray(before.array))
    at = graph.nodes.index(node)
    graph.nodes[at : at + 1] = [Node(ReadVariable(name), [], [old]), node, Node(AssignVariable(name), [end], [])]
