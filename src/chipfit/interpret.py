"""Run a graph by its definitions: the reference that all generated code is held against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Value
from chipfit.ops import op_of

State = dict[str, Array]


def initial_state(graph: Graph) -> State:
    """The variables as they are before the first run."""
    return {name: variable.initial.copy() for name, variable in graph.variables.items()}


def check_inputs(graph: Graph, inputs: Sequence[Array]) -> None:
    """Raise ChipfitError I001 or I002 unless there is one array of the right shape and dtype for each graph input."""
    if len(inputs) != len(graph.inputs):
        raise ChipfitError("I001", f"the model has {len(graph.inputs)} inputs, {len(inputs)} were given")
    for value, array in zip(graph.inputs, inputs, strict=True):
        if tuple(array.shape) != value.shape:
            raise ChipfitError(
                "I001",
                f"input '{value.name}' has shape {list(array.shape)}, the model takes {list(value.shape)}",
                "several samples go in one after the other, or as one array with a leading axis of samples",
            )
        if array.dtype != value.dtype.numpy:
            raise ChipfitError(
                "I002",
                f"input '{value.name}' is {array.dtype}, the model takes {value.dtype.value}",
                _dtype_hint(value),
            )


def _dtype_hint(value: Value) -> str:
    if value.type.quant is None or value.dtype.is_float:
        return f"convert it with .astype('{value.dtype.value}')"
    q = value.type.quant
    return f"quantize it: q = round(x / {q.s:g}) + {q.zp}, clamped to {value.dtype.range}, as {value.dtype.value}"


def evaluate(graph: Graph, inputs: Sequence[Array], state: State | None = None) -> tuple[Array, ...]:
    """Outputs of one run. ``state`` is updated in place; None: a model without variables, or a first run."""
    values = trace(graph, inputs, state)
    return tuple(values[v] for v in graph.outputs)


def trace(graph: Graph, inputs: Sequence[Array], state: State | None = None) -> dict[Value, Array]:
    """Every value of one run."""
    check_inputs(graph, inputs)
    state = initial_state(graph) if state is None else state
    values: dict[Value, Array] = dict(zip(graph.inputs, inputs, strict=True))
    values.update({v: v.array for v in graph.outputs if v.is_const})
    for node in graph.nodes:
        variable = node.op.attributes().get("variable")
        if variable is not None and node.outputs:
            values[node.outputs[0]] = state[variable].copy()
        elif variable is not None:
            state[variable] = np.array(_read(values, node.operands[0]))
        else:
            operands = [_read(values, v) for v in node.operands]
            values.update(zip(node.outputs, op_of(node).evaluate(node, *operands), strict=True))
    return values


def _read(values: dict[Value, Array], value: Value) -> Array:
    return value.array if value.is_const else values[value]
