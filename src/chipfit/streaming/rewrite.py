"""The stateful graph of a window graph: every layer computes its new frames only, and states keep the earlier ones.

The state of a tensor is what its readers need of it from the calls before. It moves on by READ_VARIABLE ->
CONCATENATION (state, new) -> SLICE (the last) -> ASSIGN_VARIABLE, and the readers read the concatenation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, OpBase, TensorType, Value, Variable, take_name
from chipfit.interpret import trace
from chipfit.ops.assign_variable import AssignVariable
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.read_variable import ReadVariable
from chipfit.ops.slice import Slice
from chipfit.streaming.flow import Analysis, Flow, Part


@dataclass(frozen=True, eq=False)
class Rewritten:
    """``graph``: the stateful one. ``nodes``: what became of each node of the window graph. ``states``: the variable of
    each of its tensors that has one."""

    graph: Graph
    nodes: Mapping[Node, Node]
    states: Mapping[Value, Variable]


def rewrite(graph: Graph, analysis: Analysis) -> Rewritten:
    """The stateful graph of a window graph that can follow (an analysis without problems).

    The outputs of a call are those of the window graph on the last frames that were fed; before the first call, these
    were frames of the input's zero point: the states begin with what the window graph makes of such frames.
    """
    return _Rewriter(graph, analysis).run()


class _Rewriter:
    def __init__(self, graph: Graph, analysis: Analysis) -> None:
        self._source, self._analysis = graph, analysis
        self._graph = Graph(f"{graph.name}_stream")
        self._names = {v.name for v in graph.values()}
        self._new: dict[Value, Value] = {}
        self._lasts: dict[tuple[Value, int], Value] = {}
        self._states: dict[Value, Variable] = {}
        self._nodes: dict[Node, Node] = {}
        self._needs = _needs(graph, analysis)
        self._quiet = trace(graph, [quiet_input(v.type) for v in graph.inputs])

    def run(self) -> Rewritten:
        self._graph.inputs = [self._follow(v) for v in self._source.inputs]
        for node in self._source.nodes:
            self._add(node)
        self._graph.outputs = [self._last(v, self._needs.get(v, 0)) for v in self._source.outputs]
        self._graph.verify()
        return Rewritten(self._graph, self._nodes, self._states)

    def _add(self, node: Node) -> None:
        step = self._analysis.steps.get(node)
        parts: Mapping[int, Part] = step.parts if step else {}
        inputs = [
            v if v is None else self._part(v, parts[i]) if i in parts else self._new.get(v, v)
            for i, v in enumerate(node.inputs)
        ]
        added = Node(step.op if step else node.op, inputs, [])
        added.outputs = [self._follow(v) for v in node.outputs]
        self._graph.nodes.append(added)
        self._nodes[node] = added

    def _follow(self, value: Value) -> Value:
        """The new elements of a tensor: its own shape if it is whole."""
        flow = self._analysis.flows.get(value)
        moves_out = flow is not None and value in self._source.outputs
        name = self._name(f"{value.name}/new") if moves_out else value.name
        self._new[value] = Value(name, _cut(value.type, flow.axis, flow.new) if flow else value.type)
        return self._new[value]

    def _part(self, value: Value, part: Part) -> Value:
        """The last elements of what moves, or the first of a constant that is the same for all frames."""
        if not value.is_const:
            return self._last(value, part.count)
        key = (value, part.count)
        if key not in self._lasts:
            data = np.ascontiguousarray(value.array.take(range(part.count), part.axis))
            name = self._name(f"{value.name}/first{part.count}")
            self._lasts[key] = Value(name, _cut(value.type, part.axis, part.count), data)
        return self._lasts[key]

    def _last(self, value: Value, count: int) -> Value:
        """The last ``count`` elements of a tensor that moves; all of one that does not."""
        flow = self._analysis.flows.get(value)
        new = self._new.get(value, value)
        if flow is None or count == flow.new:
            return new
        key = (value, count)
        if key not in self._lasts:
            most = self._needs[value]
            if count == most and count > flow.new:
                self._lasts[key] = self._remember(value, flow, most)
            else:
                source = new if count < flow.new else self._last(value, most)
                self._lasts[key] = self._slice(source, flow.axis, count, f"{value.name}/last{count}")
        return self._lasts[key]

    def _remember(self, value: Value, flow: Flow, count: int) -> Value:
        """The last ``count`` elements, the earlier ones of which come from a variable that this call moves on."""
        old = count - flow.new
        variable = f"{value.name}/state"
        type_ = _cut(value.type, flow.axis, old)
        length = value.shape[flow.axis]
        initial = self._quiet[value].take(range(length - old, length), flow.axis)
        state = Variable(variable, type_, np.ascontiguousarray(initial))
        self._graph.variables[variable] = self._states[value] = state
        before = self._node(ReadVariable(variable), [], f"{value.name}/past", type_)
        name = value.name if value in self._source.outputs else f"{value.name}/window"
        window = self._node(
            Concatenation(flow.axis), [before, self._new[value]], name, _cut(value.type, flow.axis, count)
        )
        kept = self._slice(window, flow.axis, old, f"{value.name}/next")
        self._graph.nodes.append(Node(AssignVariable(variable), [kept], []))
        return window

    def _slice(self, value: Value, axis: int, count: int, name: str) -> Value:
        begin = tuple(value.shape[a] - count if a == axis else 0 for a in range(len(value.shape)))
        type_ = _cut(value.type, axis, count)
        return self._node(Slice(begin, type_.shape), [value], name, type_)

    def _node(self, op: OpBase, inputs: list[Value | None], name: str, type_: TensorType) -> Value:
        output = Value(self._name(name), type_)
        self._graph.nodes.append(Node(op, inputs, [output]))
        return output

    def _name(self, base: str) -> str:
        if self._is_output(base):
            self._names.add(base)
            return base
        return take_name(base, self._names)

    def _is_output(self, name: str) -> bool:
        """Whether it is the name of an output, which its window takes over."""
        return any(v.name == name for v in self._source.outputs)


def _needs(graph: Graph, analysis: Analysis) -> dict[Value, int]:
    """Of each tensor that moves, how many of its last elements are read at most: all of an output of the graph."""
    needs: dict[Value, int] = {}
    for node, step in analysis.steps.items():
        for i, part in step.parts.items():
            value = node.inputs[i]
            if value in analysis.flows:
                needs[value] = max(needs.get(value, 0), part.count)
    for value in graph.outputs:
        if value in analysis.flows:
            needs[value] = value.shape[analysis.flows[value].axis]
    return needs


def _cut(type_: TensorType, axis: int, count: int) -> TensorType:
    shape = (*type_.shape[:axis], count, *type_.shape[axis + 1 :])
    return TensorType(shape, type_.dtype, type_.quant)


def quiet_input(type_: TensorType) -> Array:
    """An input of nothing but its zero point."""
    has_zero = type_.quant is not None and type_.dtype is not DType.FLOAT32
    return np.full(type_.shape, type_.q.zp if has_zero else 0, type_.dtype.numpy)
