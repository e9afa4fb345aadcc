"""Functions of one number: which nodes of a graph compute nothing else from a tensor, and what they compute."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chipfit.graph import Array, Graph, Node, Value
from chipfit.ops import op_of
from chipfit.ops._broadcast import Binary
from chipfit.ops._unary import Unary
from chipfit.ops.leaky_relu import LeakyRelu
from chipfit.ops.prelu import PRelu


def is_function(node: Node) -> bool:
    """Whether each element of the result depends on one element of each operand alone, by constants that all share."""
    if len(node.outputs) != 1:
        return False
    if isinstance(node.op, PRelu):
        return node.operands[1].is_const and _one_number(node.operands[1])
    if not isinstance(node.op, Unary | Binary):
        return False
    shape = node.outputs[0].shape
    return all((v.is_const and v.type.size == 1) or v.shape == shape for v in node.operands)


def _one_number(value: Value) -> bool:
    flat = value.array.reshape(-1)
    return bool((flat == flat[0]).all())


@dataclass(frozen=True, eq=False)
class Function:
    """What ``nodes`` make of the tensor ``x``: ``y``. Without nodes: the same."""

    x: Value
    y: Value
    nodes: tuple[Node, ...]

    @property
    def names(self) -> str:
        """In words: the operators in order."""
        return " ".join(dict.fromkeys(n.op.name for n in self.nodes))

    def __call__(self, x: Array) -> Array:
        """Any one-dimensional array, real; float64."""
        known: dict[Value, Array] = {self.x: x.astype(np.float32)}
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for node in self.nodes:
                known[node.outputs[0]] = self._apply(node, known)
        result = known[self.y].astype(np.float64)
        return np.nan_to_num(result, nan=0.0, posinf=1e30, neginf=-1e30)

    @staticmethod
    def _apply(node: Node, known: dict[Value, Array]) -> Array:
        if isinstance(node.op, PRelu):
            slope = float(node.operands[1].array.reshape(-1)[0])
            return np.asarray(np.where(known[node.operands[0]] > 0, 1.0, slope) * known[node.operands[0]], np.float32)
        if isinstance(node.op, LeakyRelu):
            x = known[node.operands[0]]
            return np.where(x > 0, x, x * np.float32(node.op.alpha))
        operands = [v.array.reshape(1) if v.is_const else known[v] for v in node.operands]
        result = op_of(node).eval_float(node, *operands)
        return result[0] if isinstance(result, tuple) else result


def function_of(graph: Graph, x: Value, consumers: dict[Value, list[Node]] | None = None) -> Function:
    """The longest function of ``x`` alone of which nothing but the result is read elsewhere."""
    readers = graph.consumers() if consumers is None else consumers
    inside: dict[Value, frozenset[Node]] = {x: frozenset()}
    best = Function(x, x, ())
    order = {id(node): i for i, node in enumerate(graph.nodes)}
    waiting = list(readers.get(x, []))
    seen: set[int] = set()
    while waiting:
        node = min(waiting, key=lambda n: order[id(n)])
        waiting.remove(node)
        if id(node) in seen:
            continue
        seen.add(id(node))
        if not is_function(node) or not all(v.is_const or v in inside for v in node.operands):
            continue
        y = node.outputs[0]
        before = frozenset[Node]().union(*(inside[v] for v in node.operands if not v.is_const))
        inside[y] = before | {node}
        if _closed(graph, readers, x, y, inside[y]):
            best = Function(x, y, tuple(sorted(inside[y], key=lambda n: order[id(n)])))
        waiting += readers.get(y, [])
    return best


def _closed(graph: Graph, readers: dict[Value, list[Node]], x: Value, y: Value, nodes: frozenset[Node]) -> bool:
    """Whether nobody but ``nodes`` reads anything between ``x`` and ``y``."""
    between = {x, *(v for n in nodes for v in n.outputs)} - {y}
    return all(v not in graph.outputs and all(n in nodes for n in readers.get(v, [])) for v in between)
