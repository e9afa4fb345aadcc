"""The order of the nodes: dependencies hold, variables keep their order, and it is never worse than the file's."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings

from chipfit.graph import Graph, Node, Value
from chipfit.plan import live_peak, schedule
from chipfit.plan.views import Views, find_views, location
from plan.moves import graph_of_text
from plan.nets import Net, chain, graphs


def is_valid(graph: Graph, order: list[Node], views: Views) -> bool:
    """Every node once, nothing read before it is there or after its storage was assigned, variables as in the file."""
    if len(order) != len(graph.nodes) or set(order) != set(graph.nodes):
        return False
    there, assigned = set(graph.inputs), set[Value | str]()
    for node in order:
        if any(v not in there and not v.is_const for v in node.operands):
            return False
        if any(location(views, v).root in assigned for v in node.operands):
            return False
        there |= set(node.outputs)
        if not node.outputs:
            assigned.add(node.op.attributes()["variable"])
    return accesses(graph.nodes) == accesses(order)


def file_order(graph: Graph) -> list[Node]:
    """The file's order; one assignment that comes too early for its readers is at the first place that is valid."""
    views, orders = find_views(graph), [graph.nodes]
    for assign in (node for node in graph.nodes if not node.outputs):
        rest = [node for node in graph.nodes if node is not assign]
        orders += [[*rest[:k], assign, *rest[k:]] for k in range(len(graph.nodes))]
    return next(order for order in orders if is_valid(graph, order, views))


def accesses(order: list[Node]) -> dict[str, list[Node]]:
    table: dict[str, list[Node]] = {}
    for node in order:
        variable = node.op.attributes().get("variable")
        if variable is not None:
            table.setdefault(variable, []).append(node)
    return table


@settings(deadline=None)
@given(graphs())
def test_orders_are_valid_and_never_worse(graph: Graph) -> None:
    order = schedule(graph)
    assert is_valid(graph, order, find_views(graph))
    assert order == schedule(graph)
    file = file_order(graph)
    assert order == file or live_peak(graph, order) < live_peak(graph, file)


@settings(deadline=None, max_examples=60)
@given(graphs(max_nodes=5))
def test_small_graphs_get_the_best_order(graph: Graph) -> None:
    views = find_views(graph)
    valid = [list(p) for p in itertools.permutations(graph.nodes) if is_valid(graph, list(p), views)]
    assert live_peak(graph, schedule(graph)) == min(live_peak(graph, order) for order in valid)


def test_a_chain_keeps_its_order_at_no_cost() -> None:
    graph = chain(*range(1, 1000))
    assert schedule(graph) == graph.nodes


def test_branches_run_one_after_the_other() -> None:
    """Two branches with large tensors inside: the file interleaves them."""
    net = Net()
    x = net.input(4)
    (a,) = net.work([x], 100)
    (b,) = net.work([x], 100)
    (a,) = net.work([a], 8)
    (b,) = net.work([b], 8)
    (y,) = net.work([a, b], 4)
    graph = net.done(y)
    assert live_peak(graph, graph.nodes) == 208
    order = schedule(graph)
    assert live_peak(graph, order) == 116
    assert [node.name for node in order] in (["t0", "t2", "t1", "t3", "t4"], ["t1", "t3", "t0", "t2", "t4"])


def test_variables_are_read_late() -> None:
    """Those that are read again after they were assigned, so that they are copied."""
    net = Net()
    x = net.input(4)
    states = [net.read(name, 100) for name in "abc"]
    for name, state in zip("abc", states, strict=True):
        (new,) = net.work([x, state], 100)
        net.assign(name, new)
    again = [net.work([net.read(name, 100)], 4)[0] for name in "abc"]
    (y,) = net.work([x, *again], 4)
    graph = net.done(y)
    assert live_peak(graph, graph.nodes) == 404
    assert live_peak(graph, schedule(graph)) == 204


def test_what_nobody_reads_is_free_at_once() -> None:
    net = Net()
    x, _ = net.input(4), net.input(100)
    a, _ = net.work([x], 8, 48)
    (y,) = net.work([a], 200)
    graph = net.done(y)
    assert live_peak(graph, graph.nodes) == 208


def test_storage_is_no_part_of_the_arena() -> None:
    net = Net()
    x = net.input(4)
    states = [net.read(name, 100) for name in "abc"]
    for name, state in zip("abc", states, strict=True):
        (new,) = net.work([x, state], 100)
        net.assign(name, new)
    (y,) = net.work([x], 4)
    graph = net.done(y)
    assert live_peak(graph, schedule(graph)) == 104


def test_a_joined_tensor_lives_from_its_first_part_on() -> None:
    """Whichever part that is: 12 bytes for both, and 40 while the second is made."""
    graph = graph_of_text("""
        input %x : int8[4]
        %a : int8[8] = mix(%x) {shape=(8,)}
        %p : int8[40] = mix(%x) {shape=(40,)}
        %b : int8[4] = mix(%p) {shape=(4,)}
        %c : int8[12] = concatenation(%a, %b)
        %y : int8[4] = mix(%c) {shape=(4,)}
        output %y
    """)
    a, p, b, c, y = graph.nodes
    assert live_peak(graph, [a, p, b, c, y]) == 4 + 12 + 40
    assert live_peak(graph, [p, b, a, c, y]) == 40 + 12 + 4
    assert live_peak(graph, [p, a, b, c, y]) == 4 + 40 + 12
    assert schedule(graph) == graph.nodes


def test_views_take_no_memory() -> None:
    net = Net()
    (a,) = net.work([net.input(20)], 40)
    (y,) = net.work([net.view(net.view(a))], 20)
    graph = net.done(y)
    assert live_peak(graph, graph.nodes) == 60


@pytest.mark.parametrize("lanes", [2, 6, 20])
def test_sixty_branching_nodes_take_less_than_a_second(lanes: int) -> None:
    """Twice that is allowed here: other tests may run beside."""
    net = Net()
    values = [net.input(50)]
    for k in range(60):
        values += net.work([values[max(0, k - lanes) + (k * 7) % min(lanes, k + 1)], values[-1]], 20 + k * 37 % 101)
    graph = net.done(*values[-3:])
    start = time.process_time()
    order = schedule(graph)
    assert time.process_time() - start < 2
    assert is_valid(graph, order, find_views(graph))
