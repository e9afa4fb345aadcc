"""Carrying nodes over into another order of axes, as planned: what they become, and what lies between them."""

from __future__ import annotations

from collections.abc import Iterable

from chipfit.graph import Graph, Node, TensorType, Value, take_name
from chipfit.graph.rewrite import Uses
from chipfit.ops.reshape import Reshape
from chipfit.ops.transpose import Transpose
from chipfit.passes._transposes_cut import Plan
from chipfit.passes._transposes_orders import Order, from_to, identity, inverse, mover, same_bytes, stored_type
from chipfit.passes._transposes_rules import Edit


def apply_plans(graph: Graph, plans: Iterable[Plan], uses: Uses) -> None:
    """Rewrite the graph. The plans touch different nodes; ``uses`` is of the graph before all of them."""
    rewrite = _Rewrite(graph, uses)
    for plan in plans:
        rewrite.apply(plan)
    rewrite.place()
    _remove_unread(graph)


class _Rewrite:
    def __init__(self, graph: Graph, uses: Uses) -> None:
        self._graph, self._uses = graph, uses
        self._names = {v.name for v in graph.values()}
        self._made: dict[Value, Node] = {}
        self._edited: dict[tuple[Node, Value], Value] = {}

    def apply(self, plan: Plan) -> None:
        types = {value: value.type for value in plan.region.orders}
        for value in plan.region.orders:
            self._reorder(plan, value, types[value])
        for node, carried in plan.carried.items():
            node.op = carried.op
            for (other, port), edit in carried.edits.items():
                self._edit(other, port, edit)

    def _reorder(self, plan: Plan, value: Value, type_: TensorType) -> None:
        """Let all readers of a tensor find it in the order in which they take it."""
        order, producer = plan.region.orders[value], self._uses.producer(value)
        carried, settled = plan.carried, plan.region.settled
        readers = self._uses.readers(value)
        new, dropped = [n for n in readers if n in carried], [n for n in readers if n in settled]
        old = [n for n in readers if n not in carried and n not in settled]
        plain = identity(len(type_.shape))
        if producer in carried:
            order = carried[producer].orders[value]
            value.type = stored_type(type_, order)
            source = _Source(self, value, type_, value, order)
            self._read(old, value, source, plain)
            if value in self._uses.outputs:
                self._give(value, source.stored(plain))
        elif producer in settled:
            assert isinstance(producer.op, Transpose)
            source = _Source(self, value, type_, producer["x"], inverse(producer.op.perm))
        elif new or len(dropped) > 1:
            source = _Source(self, value, type_, value, plain)
            source = _Source(self, value, type_, source.stored(order), order)
        else:
            return
        for node in new:
            self._read([node], value, source, carried[node].orders.get(value, plain))
        for node in dropped:
            node.inputs, node.op = [source.value], Reshape(node["y"].shape)

    def _read(self, nodes: list[Node], value: Value, source: _Source, order: Order) -> None:
        for node in nodes:
            node.inputs = [source.stored(order) if v is value else v for v in node.inputs]

    def _give(self, value: Value, old: Value) -> None:
        """The old form is an output of the graph, by its old name."""
        value.name, old.name = old.name, value.name
        self._graph.outputs = [old if v is value else v for v in self._graph.outputs]

    def _edit(self, node: Node, port: int, edit: Edit) -> None:
        old = node.inputs[port]
        assert old is not None
        if (node, old) not in self._edited:
            new = self._edited[node, old] = edit(old)
            if len(self._uses.readers(old)) > 1 or old in self._uses.outputs:
                new.name = self._name(old.name)
        node.inputs[port] = self._edited[node, old]

    def _name(self, base: str) -> str:
        return take_name(base, self._names)

    def made(self, source: Value, type_: TensorType, perm: Order, base: str) -> Value:
        """A tensor that is another one transposed."""
        value = Value(self._name(f"{base}/transposed"), type_)
        self._made[value] = Node(mover(source.shape, perm), [source], [value])
        return value

    def place(self) -> None:
        """Put what was made right before its first reader."""
        nodes = list[Node]()
        for node in self._graph.nodes:
            self._take(node.operands, nodes)
            nodes.append(node)
        self._take(self._graph.outputs, nodes)
        self._graph.nodes = nodes

    def _take(self, values: Iterable[Value], nodes: list[Node]) -> None:
        for value in values:
            node = self._made.pop(value, None)
            if node is not None:
                self._take(node.operands, nodes)
                nodes.append(node)


class _Source:
    """The elements of a tensor as ``value`` holds them, and in other orders as they are asked for."""

    def __init__(self, rewrite: _Rewrite, tensor: Value, type_: TensorType, value: Value, order: Order) -> None:
        self.value, self._order, self._type, self._rewrite, self._base = value, order, type_, rewrite, tensor.name
        self._known: dict[Order, Value] = {}

    def stored(self, order: Order) -> Value:
        if order not in self._known:
            type_ = stored_type(self._type, order)
            same = same_bytes(self._type.shape, order, self._order) and type_ == self.value.type
            perm = from_to(self._order, order)
            self._known[order] = self.value if same else self._rewrite.made(self.value, type_, perm, self._base)
        return self._known[order]


def _remove_unread(graph: Graph) -> None:
    """Transpositions and views that nothing reads any more."""
    needed = set(graph.outputs)
    kept = list[Node]()
    for node in reversed(graph.nodes):
        if isinstance(node.op, Transpose | Reshape) and needed.isdisjoint(node.outputs):
            continue
        kept.append(node)
        needed.update(node.operands)
    graph.nodes = kept[::-1]
