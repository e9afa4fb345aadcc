"""The memory plan of whole graphs: lifetimes, views, scratch, state; and a wrong plan does not pass its proof."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.errors import ChipfitError
from chipfit.graph import Graph, Node, Value
from chipfit.plan import MemoryPlan, Unit, View, find_views, nodes_without_work, plan_memory, schedule
from plan.nets import Net, chain, graphs


def units(nodes: list[Node], scratch: dict[int, int] | None = None) -> list[Unit]:
    """Every node on its own, with so many bytes of scratch by its number."""
    return [Unit((node,), {node: (scratch or {}).get(i, 0)}) for i, node in enumerate(nodes)]


def plan(graph: Graph, scratch: dict[int, int] | None = None) -> MemoryPlan:
    return plan_memory(graph, units(schedule(graph), scratch), find_views(graph))


def span(memory: MemoryPlan, value: Value) -> tuple[int, int]:
    (block,) = (b for b in memory.blocks if value in b.values)
    return block.buffer.first, block.buffer.last


@settings(deadline=None)
@given(graphs(), st.randoms(use_true_random=False), st.sampled_from([4, 16]))
def test_every_plan_is_proven(graph: Graph, rng: random.Random, alignment: int) -> None:
    order, views = schedule(graph), find_views(graph)
    scratch = {step: rng.randrange(1, 50) for step in range(len(order)) if rng.random() < 0.3}
    memory = plan_memory(graph, units(order, scratch), views, alignment=alignment)
    memory.check(graph)
    assert memory.arena_bytes >= memory.lower_bound
    in_state = {v for v, view in views.items() if isinstance(view.root, str)}
    assert set(memory.offsets) == {v for v in graph.values() if not v.is_const} - in_state
    assert set(memory.scratch_offsets) == {order[step] for step in scratch}
    assert all(
        memory.offsets[value] == memory.offsets[view.root] + view.offset
        for value, view in views.items()
        if isinstance(view.root, Value)
    )
    if memory.arena_bytes == memory.lower_bound:
        assert (
            sum(-(-b.buffer.size // alignment) * alignment for b in memory.live(memory.busiest)) == memory.arena_bytes
        )


@settings(deadline=None)
@given(graphs())
def test_nodes_that_make_views_take_no_step(graph: Graph) -> None:
    views = find_views(graph)
    idle = nodes_without_work(graph, views)
    runs = [node for node in schedule(graph) if node not in idle]
    memory = plan_memory(graph, units(runs), views)
    assert len(memory.steps) == len(runs)
    assert memory.lower_bound <= plan(graph).lower_bound


@settings(deadline=None)
@given(graphs(), st.data())
def test_a_wrong_offset_is_caught(graph: Graph, data: st.DataObject) -> None:
    """A live block is moved onto another one that is alive at the same step."""
    memory = plan(graph, {0: 8} if graph.nodes else {})
    pairs = [
        (a, b)
        for a in memory.blocks
        for b in memory.blocks
        if a is not b and a.buffer.size and b.buffer.size and a.values
        if a.buffer.first <= b.buffer.last and b.buffer.first <= a.buffer.last
    ]
    if not pairs:
        return
    victim, other = data.draw(st.sampled_from(pairs))
    moved = dict.fromkeys(victim.values, other.offset)
    arena = memory.arena_bytes + victim.buffer.size + 4
    wrong = dataclasses.replace(memory, offsets={**memory.offsets, **moved}, arena_bytes=arena)
    with pytest.raises(ChipfitError, match="M002"):
        wrong.check(graph)


def test_one_step_of_the_alignment_tighter_is_caught() -> None:
    graph = chain(20, 40, 20)
    memory = plan(graph)
    assert memory.arena_bytes == memory.lower_bound == 60
    value = max(memory.offsets, key=lambda v: memory.offsets[v])
    for offset, what in ((memory.offsets[value] - 4, "lies over"), (1, "not aligned"), (4096, "not within")):
        wrong = dataclasses.replace(memory, offsets={**memory.offsets, value: offset})
        with pytest.raises(ChipfitError, match=what):
            wrong.check(graph)


def test_scratch_that_lies_on_a_live_tensor_is_caught() -> None:
    graph = chain(20, 40, 20)
    memory = plan(graph, {1: 8})
    for value in graph.nodes[1].operands + graph.nodes[1].outputs:
        wrong = dataclasses.replace(memory, scratch_offsets={graph.nodes[1]: memory.offsets[value]})
        with pytest.raises(ChipfitError, match="is not whole while"):
            wrong.check(graph)


def test_wrong_views_state_and_orders_are_caught() -> None:
    net = Net()
    x = net.input(8)
    (a,) = net.work([x], 8)
    b = net.view(a)
    net.assign("s", b)
    net.assign("t", b)
    graph = net.done(b)
    memory = plan(graph)
    for wrong in (
        dataclasses.replace(memory, offsets={**memory.offsets, b: memory.offsets[b] + 4}),
        dataclasses.replace(memory, views={**memory.views, a: View(x, 0)}, offsets=dict.fromkeys(memory.offsets, 0)),
        dataclasses.replace(memory, state_offsets={"s": 0, "t": 4}),
        dataclasses.replace(memory, state_offsets={"s": 0}),
    ):
        with pytest.raises(ChipfitError, match="M002"):
            wrong.check(graph)
    for order in (graph.nodes[1:], [*graph.nodes, graph.nodes[0]], graph.nodes[::-1]):
        with pytest.raises(ChipfitError, match="M002"):
            plan_memory(graph, units(list(order)), find_views(graph))


def test_inputs_live_from_before_the_first_step_to_their_last_use() -> None:
    net = Net()
    used, unread = net.input(40), net.input(12)
    (a,) = net.work([used], 16)
    (y,) = net.work([a], 40)
    graph = net.done(y)
    memory = plan(graph)
    assert span(memory, used) == (-1, 0)
    assert span(memory, unread) == (-1, -1)
    assert span(memory, y) == (1, 2)
    assert memory.arena_bytes == 56
    assert not memory.input_preserved
    assert plan(chain(8, 40)).input_preserved


def test_outputs_stay_until_the_end() -> None:
    """Produced early, an input too, handed out twice, or nobody's."""
    net = Net()
    x = net.input(8)
    early, unused = net.work([x], 20, 28)
    (a,) = net.work([early], 40)
    (y,) = net.work([a], 4)
    graph = net.done(early, y, x, early)
    memory = plan(graph)
    assert span(memory, early) == (0, 3)
    assert span(memory, x) == (-1, 3)
    assert span(memory, unused) == (0, 0)
    assert {b.kind for b in memory.blocks} == {"input, output", "output", "tensor"}
    assert memory.input_preserved
    assert memory.arena_bytes == memory.lower_bound == 72


def test_views_share_the_memory_of_their_root_for_the_union_of_their_lives() -> None:
    net = Net()
    (a,) = net.work([net.input(12)], 20)
    b = net.view(net.view(a))
    (c,) = net.work([a], 20)
    (y,) = net.work([b, c], 4)
    memory = plan(net.done(y))
    assert memory.offsets[a] == memory.offsets[b]
    assert span(memory, b) == (0, 4)
    assert memory.arena_bytes == memory.lower_bound == 44


def test_constants_and_inputs_that_are_handed_out_are_copied() -> None:
    net = Net()
    x = net.input(12)
    of_constant = net.view(net.constant(5))
    inner = net.view(x)
    out = net.view(inner)
    graph = net.done(out, of_constant)
    assert find_views(graph) == {inner: View(x, 0)}
    assert set(plan(graph).offsets) == {x, inner, out, of_constant}


def test_scratch_lies_in_holes() -> None:
    """Only what does not fit beside the tensors of its step makes the arena larger."""
    graph = chain(20, 40, 20, 8)
    memory = plan(graph, {0: 4, 2: 30})
    assert (memory.arena_bytes, memory.scratch_bytes) == (64, 4)
    memory = plan(graph, {2: 30})
    assert (memory.arena_bytes, memory.scratch_bytes) == (60, 0)


def test_state_lies_beside_the_arena() -> None:
    net = Net()
    x = net.input(4)
    for name, size in (("a", 5), ("b", 8), ("c", 3)):
        (new,) = net.work([x, net.read(name, size)], size)
        net.assign(name, new)
    memory = plan(net.done(new))
    assert memory.state_offsets == {"a": 0, "b": 8, "c": 16}
    assert memory.state_bytes == 20


def test_an_empty_graph() -> None:
    memory = plan(Graph("empty"))
    assert (memory.arena_bytes, memory.state_bytes, memory.input_preserved) == (0, 0, True)
    assert memory.why == "0 B: nothing lies in the arena"


def test_the_plan_says_what_makes_its_peak() -> None:
    net = Net()
    values = net.work([net.input(8)], 40, 32, 20, 12, 12)
    (y,) = net.work([net.view(values[0]), *values[1:]], 4)
    memory = plan(net.done(y))
    assert memory.why == "124 B at step 0, work 't0_0': 40 't0_0' + 32 't0_1' + 20 't0_2' + 12 't0_3' + 20 in 2 more"
