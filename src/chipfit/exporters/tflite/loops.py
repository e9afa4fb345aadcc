"""SCAN as WHILE: a counter, the sequences, the states and what is made of them go round; two subgraphs say how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chipfit.graph import DType, Graph, Node, TensorType, Value
from chipfit.ops.scan import TIME, Scan

if TYPE_CHECKING:
    from collections.abc import Callable

    from chipfit.exporters.tflite.writer import ModelWriter

_INDEX = TensorType((), DType.INT32)


def emit_scan(writer: ModelWriter, node: Node, emit_node: Callable[[ModelWriter, Node], None]) -> None:
    """A WHILE whose body takes a step of each sequence by GATHER and puts what it makes into place by
    DYNAMIC_UPDATE_SLICE. ``emit_node``: writes the operators of a node."""
    op = node.op
    assert isinstance(op, Scan)
    main, steps = writer.main, op.steps(node)
    first = steps - 1 if op.backward else 0
    sequences, states = op.taken(node)
    ends, made = op.given(node)
    carried = [*sequences, *states, *made]
    cond = writer.add_subgraph(f"{node.name}/cond", lambda: _condition(writer, carried, op.backward, steps))
    body = writer.add_subgraph(f"{node.name}/body", lambda: _body(writer, node, op, emit_node))
    zeros = [_zeros(v) for v in made]
    inputs = [
        main.constant(f"{node.name}/first", np.array(first, np.int32)),
        *(main.tensor(v) for v in (*sequences, *states)),
        *(main.constant(f"{v.name}/empty", z, v.type.quant) for v, z in zip(made, zeros, strict=True)),
    ]
    outputs = [
        main.activation(f"{node.name}/counter", _INDEX),
        *(main.activation(f"{v.name}/unchanged", v.type) for v in sequences),
        *(main.tensor(v) for v in (*ends, *made)),
    ]
    main.emit("WHILE", inputs, outputs, "WhileOptions", {"condSubgraphIndex": cond, "bodySubgraphIndex": body})


def _zeros(value: Value) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    return np.zeros(value.shape, value.dtype.numpy)


def _condition(writer: ModelWriter, carried: list[Value], backward: bool, steps: int) -> None:
    main = writer.main
    counter = main.activation("step", _INDEX)
    main.subgraph.inputs = [counter, *(main.activation(v.name, v.type) for v in carried)]
    goes_on = main.activation("goes_on", TensorType((), DType.BOOL))
    limit = main.constant("limit", np.array(0 if backward else steps, np.int32))
    builtin, options = ("GREATER_EQUAL", "GreaterEqualOptions") if backward else ("LESS", "LessOptions")
    main.emit(builtin, [counter, limit], [goes_on], options)
    main.subgraph.outputs = [goes_on]


def _body(writer: ModelWriter, node: Node, op: Scan, emit_node: Callable[[ModelWriter, Node], None]) -> None:
    main, body = writer.main, op.body
    main.reserve([v.name for v in body.values()])
    sequences, _ = op.taken(node)
    _, made = op.given(node)
    counter = main.activation("step", _INDEX)
    whole = [main.activation(f"{v.name}/sequence", v.type) for v in sequences]
    states = [main.tensor(v) for v in body.inputs[op.sequences :]]
    before = [main.activation(f"{v.name}/before", v.type) for v in made]
    main.subgraph.inputs = [counter, *whole, *states, *before]
    for x, part in zip(whole, body.inputs, strict=False):
        main.emit("GATHER", [x, counter], [main.tensor(part)], "GatherOptions", {"axis": TIME, "batchDims": 0})
    for inner in body.nodes:
        emit_node(writer, inner)
    after = [_put(writer, y, body.outputs[i], at, counter) for y, i, at in zip(made, op.emitted, before, strict=True)]
    following = main.activation("next_step", _INDEX)
    one = main.constant("one", np.array(-1 if op.backward else 1, np.int32))
    main.emit("ADD", [counter, one], [following], "AddOptions")
    ends = [main.tensor(v) for v in body.outputs[: op.state_count]]
    main.subgraph.outputs = [following, *whole, *ends, *after]


def _put(writer: ModelWriter, whole: Value, step: Value, before: int, counter: int) -> int:
    """The sequence with a step put into place."""
    main = writer.main
    shape = (step.shape[0], 1, *step.shape[1:])
    row = main.activation(f"{step.name}/row", TensorType(shape, step.dtype, step.type.quant))
    target = main.constant(f"{step.name}/row_shape", np.array(shape, np.int32))
    main.emit("RESHAPE", [main.tensor(step), target], [row], "ReshapeOptions", {"newShape": list(shape)})
    axis = np.zeros(len(whole.shape), np.int32)
    axis[TIME] = 1
    place = main.activation(f"{step.name}/place", TensorType(axis.shape, DType.INT32))
    main.emit("MUL", [main.constant("time_axis", axis), counter], [place], "MulOptions")
    after = main.activation(f"{whole.name}/after", whole.type)
    main.emit("DYNAMIC_UPDATE_SLICE", [before, row, place], [after], "DynamicUpdateSliceOptions")
    return after


def has_loop_form(graph: Graph) -> bool:
    """Whether all SCANs of a graph can be WHILEs: what their bodies give is computed there, and given once."""
    for node in graph.nodes:
        if isinstance(node.op, Scan):
            made = {v for inner in node.op.body.nodes for v in inner.outputs}
            ends = node.op.body.outputs
            if len(set(ends)) != len(ends) or not made.issuperset(ends) or not has_loop_form(node.op.body):
                return False
    return True
