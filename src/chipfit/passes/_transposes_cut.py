"""The cheapest place for transpositions: which nodes to carry over into another order of axes.

From a transposition on, an order spreads to all tensors around it whose nodes can follow (RULES). Each of these nodes
then works in the old or in the new order; a tensor between two nodes that differ is transposed. A transposition that
was there counts as a node in the new order: what it gives is what the new order stores. Which choice costs least is a
minimum cut between these and the nodes that cannot follow; so no choice has to be made step by step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import pairwise

from chipfit.graph import Graph, Node, Value
from chipfit.graph.rewrite import Uses
from chipfit.ops import op_of
from chipfit.ops.transpose import Transpose
from chipfit.passes._transposes_orders import (
    Order,
    composed,
    from_to,
    identity,
    inverse,
    is_view,
    mover,
    same_bytes,
    stored_shape,
)
from chipfit.passes._transposes_rules import Carried, rule_in
from chipfit.passes._transposes_views import ALL_RULES

_OLD, _NEW = "old", "new"


@dataclass(frozen=True)
class Region:
    """What an order spreads to. ``orders``: of each tensor, from where it is. ``settled``: transpositions between a
    tensor of the region and the same elements in the new order.
    """

    orders: dict[Value, Order]
    carried: dict[Node, Carried]
    settled: set[Node]
    touched: dict[Node, None]


@dataclass(frozen=True)
class Plan:
    """The nodes of a region that are carried over, and the bytes (and ties, see :class:`Costs`) that saves."""

    region: Region
    carried: dict[Node, Carried]
    gain: int


def region_around(value: Value, order: Order, uses: Uses) -> Region:
    """Everything that can follow if a tensor is stored in this order."""
    orders, carried, touched, reached = {value: order}, dict[Node, Carried](), dict[Node, None](), [value]
    for spread in reached:
        for node in _around(spread, uses):
            touched[node] = None
            rule = rule_in(ALL_RULES, node.op)
            if rule is None or node in carried:
                continue
            known = {v: orders[v] for v in (*node.operands, *node.outputs) if v in orders}
            result = rule(node, known, uses)
            if result is None:
                continue
            carried[node] = result
            touched.update(dict.fromkeys(other for other, _ in result.edits))
            for other, wanted in result.orders.items():
                if other not in orders and wanted != identity(len(wanted)):
                    orders[other] = wanted
                    reached.append(other)
    carried = {node: c for node, c in carried.items() if _agrees(node, c, orders)}
    settled = set[Node]()
    for node in touched:
        if isinstance(node.op, Transpose):
            _look_at_transposition(node, node.op, orders, carried, settled)
    return Region(orders, carried, settled, touched)


def _around(value: Value, uses: Uses) -> list[Node]:
    producer = uses.producer(value)
    return [*([] if producer is None else [producer]), *uses.readers(value)]


def _agrees(node: Node, carried: Carried, orders: dict[Value, Order]) -> bool:
    """Whether a node wants of each tensor the bytes that the region has of it."""
    if any(value in orders for value in carried.private):
        return False
    for value in (*node.operands, *node.outputs):
        plain = identity(len(value.shape))
        if not same_bytes(value.shape, orders.get(value, plain), carried.orders.get(value, plain)):
            return False
    return True


def _look_at_transposition(
    node: Node, op: Transpose, orders: dict[Value, Order], carried: dict[Node, Carried], settled: set[Node]
) -> None:
    """With a tensor of the region on one side it falls away in the new order, or becomes another one. With both in the
    region it is a node like others: it does its work between the new orders.
    """
    x, y = node["x"], node["y"]
    if x not in orders and y not in orders:
        return
    of_x, of_y = (orders.get(v, identity(len(v.shape))) for v in (x, y))
    shape, perm = stored_shape(x.shape, of_x), from_to(of_x, composed(op.perm, of_y))
    if is_view(shape, perm) and not (x in orders and y in orders):
        settled.add(node)
    else:
        carried[node] = Carried(mover(shape, perm), {v: orders[v] for v in (x, y) if v in orders})


class Costs:
    """What it costs to transpose a tensor: first the bytes, then one for each transposition, then how far it lies
    from the ends of the graph: next to them it is in nobody's way, and an application may do without it.

    Distances are the same for the same elements in whatever order, so what one transposition costs does not depend on
    the others.
    """

    def __init__(self, graph: Graph) -> None:
        self._elements, before, after = dict[Value, Value](), dict[Value, int](), dict[Value, int]()
        for node in graph.nodes:
            depth = max((before.get(self._same(v), 0) for v in node.operands), default=0)
            for y in node.outputs:
                if _only_moves(node):
                    self._elements[y] = self._same(node["x"])
                else:
                    before[y] = depth + 1
        for node in reversed(graph.nodes):
            height = max((after.get(self._same(v), 0) for v in node.outputs), default=0) + (not _only_moves(node))
            for x in map(self._same, node.operands):
                after[x] = max(height, after.get(x, 0))
        self._before, self._after = before, after
        count = len(graph.nodes) + sum(1 for _ in graph.values()) + 1
        # each counts for more than all of the next together
        self._views, self._one, self._byte = count, count**2, count**4

    def of(self, value: Value) -> int:
        """Of a transposition of this tensor that moves elements."""
        same = self._same(value)
        distance = min(self._before.get(same, 0), self._after.get(same, 0))
        return value.type.nbytes * self._byte + self._one + distance

    def capacity(self, value: Value, order: Order) -> int:
        """The same, where a view costs the least that there is."""
        return 1 if is_view(value.shape, order) else self.of(value) * self._views

    def without_views(self, capacity: int) -> int:
        return capacity // self._views

    def _same(self, value: Value) -> Value:
        """The tensor that first held these elements."""
        return self._elements.get(value, value)


def _only_moves(node: Node) -> bool:
    """Views and transpositions come and go; distances are counted in other nodes."""
    return isinstance(node.op, Transpose) or op_of(node).is_view


def plan_around(node: Node, uses: Uses, costs: Costs) -> Plan | None:
    """What to carry over to be rid of a transposition; None if nothing is gained."""
    assert isinstance(node.op, Transpose)
    perm, plans = node.op.perm, list[Plan]()
    for value, order in ((node["y"], inverse(perm)), (node["x"], perm)):
        if not value.is_const:
            plan = _plan(region_around(value, order, uses), uses, costs)
            if plan.gain > 0:
                plans.append(plan)
    return max(plans, key=lambda plan: plan.gain, default=None)


def _plan(region: Region, uses: Uses, costs: Costs) -> Plan:
    network = _Network()

    def end(node: Node | None) -> Hashable:
        if node is not None and node in region.settled:
            return _NEW
        return node if node is not None and node in region.carried else _OLD

    for value, order in region.orders.items():
        cost = costs.capacity(value, order)
        producer = end(uses.producer(value))
        readers = [end(reader) for reader in uses.readers(value)] + [_OLD] * (value in uses.outputs)
        # the tensor is transposed once for all readers in the other order
        network.connect(producer, (value, _OLD), cost)
        network.connect((value, _NEW), producer, cost)
        for reader in readers:
            network.connect((value, _OLD), reader, None)
            network.connect(reader, (value, _NEW), None)
    flow, side = network.cut(_NEW, _OLD)
    before = sum(costs.of(node["x"]) for node in region.settled)
    carried = {node: c for node, c in region.carried.items() if node in side}
    return Plan(region, carried, before - costs.without_views(flow))


@dataclass
class _Network:
    """Capacities between vertices; None: without limit. What flows one way can flow back."""

    left: dict[Hashable, dict[Hashable, int]] = field(default_factory=dict[Hashable, dict[Hashable, int]])
    _limit: int = 1 << 200

    def connect(self, a: Hashable, b: Hashable, capacity: int | None) -> None:
        if a != b:
            edges = self.left.setdefault(a, {})
            edges[b] = edges.get(b, 0) + (self._limit if capacity is None else capacity)
            self.left.setdefault(b, {}).setdefault(a, 0)

    def cut(self, source: Hashable, sink: Hashable) -> tuple[int, set[Hashable]]:
        """The least capacity that parts the sink from the source, and the vertices on the source's side, as few as can
        be. Source of the method: Edmonds and Karp, 1972 (shortest augmenting paths).
        """
        flow = 0
        while True:
            came_from = self._reach(source, sink)
            if sink not in came_from:
                return flow, set(came_from)
            path = [sink]
            while path[-1] != source:
                path.append(came_from[path[-1]])
            steps = [(b, a) for a, b in pairwise(path)]
            amount = min(self.left[a][b] for a, b in steps)
            for a, b in steps:
                self.left[a][b] -= amount
                self.left[b][a] += amount
            flow += amount

    def _reach(self, source: Hashable, sink: Hashable) -> dict[Hashable, Hashable]:
        """From where each vertex is reached, until the sink is."""
        came_from: dict[Hashable, Hashable] = {source: source}
        queue = deque([source])
        while queue and sink not in came_from:
            at = queue.popleft()
            for to, capacity in self.left.get(at, {}).items():
                if capacity and to not in came_from:
                    came_from[to] = at
                    queue.append(to)
        return came_from
