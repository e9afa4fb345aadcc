"""Which variables of a graph are the state of a recurrent layer: a file has variable tensors for them."""

from __future__ import annotations

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Graph, Node, Value, Variable
from chipfit.ops import op_of

_HINT = "TensorFlow Lite keeps the state of such a layer by itself, from zeros on"


def states_of_layers(graph: Graph) -> dict[Value, str]:
    """Values that recurrent layers take as state -> their variables.

    Raises ChipfitError O002 unless each is read from a variable of its own, which begins with real zeros and to which
    nothing but the layer's next state is assigned.
    """
    reads = {node.outputs[0]: _variable(node) for node in graph.nodes if node.op.name == "read_variable"}
    writes = {node.operands[0]: _variable(node) for node in graph.nodes if node.op.name == "assign_variable"}
    consumers = graph.consumers()
    states: dict[Value, str] = {}
    for node in graph.nodes:
        for taken, given in op_of(node).states:
            old, new = node[taken], node[given]
            name = reads.get(old)
            is_own = name is not None and writes.get(new) == name and list(reads.values()).count(name) == 1
            is_own = is_own and len(consumers[old]) == len(consumers[new]) == 1
            if name is None or not is_own or not {old, new}.isdisjoint(graph.outputs):
                raise _error(node, f"its state '{old.name}' ({old.type}) is not from a variable of its own")
            if not _begins_with_zeros(graph.variables[name]):
                raise _error(node, f"its state '{name}' begins with other elements than zeros")
            states[old] = name
    return states


def _variable(node: Node) -> str:
    return node.op.attributes()["variable"]


def _begins_with_zeros(variable: Variable) -> bool:
    zero = variable.type.q.zp if variable.type.dtype is DType.INT8 else 0
    return bool(np.all(variable.initial == zero))


def _error(node: Node, problem: str) -> ChipfitError:
    return ChipfitError("O002", f"{node.op.name} '{node.name}' has no .tflite form: {problem}", _HINT)
