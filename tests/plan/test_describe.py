"""A plan as plain data: what it says of blocks, overlays and rows is what the plan does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.codegen.fit import Goal
from chipfit.codegen.lower import lower
from chipfit.graph import Array, Graph
from chipfit.plan import PlanInfo, Unit, describe, find_views, plan_memory, schedule
from chipfit.plan.describe import SLICES, slices
from chipfit.targets import load_board
from plan.images import ImageNet, random_net
from plan.nets import Net, graphs

RAM = Goal(slower=2.0, rows=True)
FEATURES = load_board("nucleo-l4r5zi").core.features
"""Kernels with scratch are among those for this core."""


def in_use(info: PlanInfo, step: int) -> dict[int, tuple[Array, Array]]:
    """First address and one past the last of each block at each moment of a step."""
    moments = info.steps[step].moments
    changes = {item.block: item.changes for item in info.steps[step].live}
    found: dict[int, tuple[Array, Array]] = {}
    for i, block in enumerate(info.blocks):
        if block.lives_at(step):
            at, low, high = (np.array(x) for x in zip(*changes.get(i, ((0, 0, block.bytes),)), strict=True))
            counts = np.diff(np.append(at, moments))
            found[i] = block.offset + np.repeat(low, counts), block.offset + np.repeat(high, counts)
    return found


def meetings(info: PlanInfo, step: int) -> list[tuple[int, int, int]]:
    """Pairs of blocks with the most bytes that both use at one moment."""
    spans = in_use(info, step)
    return [
        (i, j, int(most))
        for i, (a, b) in spans.items()
        for j, (c, d) in spans.items()
        if i < j and (most := np.where((a < b) & (c < d), np.minimum(b, d) - np.maximum(a, c), 0).max()) > 0
    ]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.booleans())
def test_no_two_blocks_of_a_run_use_a_byte_at_the_same_time(seed: int, by_rows: bool) -> None:
    graph = random_net(seed).done()
    info = describe(lower(graph, FEATURES, goal=Goal(slower=2.0, rows=True, by_rows=by_rows)).plan)
    for step, s in enumerate(info.steps):
        if s.layers > 1 or any(b.kind == "rows" and b.lives_at(step) for b in info.blocks):
            assert meetings(info, step) == []
    assert all(b.offset + b.bytes <= info.arena for b in info.blocks)
    assert info.lower_bound == max(s.bound for s in info.steps) <= info.arena


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_blocks_share_memory_only_where_an_overlay_says_so(seed: int) -> None:
    info = describe(lower(random_net(seed).done(), FEATURES).plan)
    said = {(o.step, o.under, o.over): o for o in info.overlays}
    for step in range(len(info.steps)):
        for i, a in enumerate(info.blocks):
            for j, b in enumerate(info.blocks[i + 1 :], i + 1):
                common = min(a.offset + a.bytes, b.offset + b.bytes) - max(a.offset, b.offset)
                there = a.lives_at(step) and b.lives_at(step) and common > 0 and min(a.bytes, b.bytes) > 0
                assert ((step, i, j) in said) == there
                if there:
                    o = said[step, i, j]
                    assert (o.bytes, o.distance) == (common, b.offset - a.offset)
                    assert o.how == ("backward" if info.steps[step].backward else "forward")


def test_an_output_grows_over_its_dying_input() -> None:
    net = ImageNet(0, 8, 8, 4)
    net.conv(4, 1)
    net.conv(4, 1)
    info = describe(lower(net.done(), frozenset()).plan)
    (overlay,) = (o for o in info.overlays if o.step == 1)
    spans = in_use(info, 1)
    dying, growing = spans[overlay.under], spans[overlay.over]
    left, made = dying[1] - dying[0], growing[1] - growing[0]
    assert info.steps[1].moments == len(left) > 1
    assert left[0] == made[-1] == 256
    assert (np.diff(left) < 0).all()
    assert (np.diff(made) > 0).all()


def test_a_window_says_its_rows() -> None:
    net = ImageNet(0, 9, 4, 2)
    net.conv(8, 1)
    net.conv(2, 3)
    info = describe(lower(net.done(), frozenset(), goal=RAM).plan)
    (step,) = info.steps
    (window,) = (b for b in info.blocks if b.kind == "rows")
    assert (step.layers, step.op, step.layer) == (2, "conv2d", "t1")
    assert (window.name, window.rows, window.height, window.bytes) == ("t0", 3, 9, 3 * 4 * 8)
    assert (window.first, window.last) == (0, 0)
    assert all(b.rows is None and b.height is None for b in info.blocks if b.kind != "rows")


def test_scratch_and_sums_are_named_after_their_layer() -> None:
    net = Net()
    (y,) = net.work([net.input(8)], 8)
    graph = net.done(y)
    info = describe(plan_memory(graph, [Unit((graph.nodes[0],), {graph.nodes[0]: 5})], {}))
    assert [(b.kind, b.name, b.bytes) for b in info.blocks if b.kind == "scratch"] == [("scratch", "t0", 5)]
    pooled = ImageNet(0, 8, 8, 2)
    pooled.conv(4, 3)
    pooled.global_pool()
    info = describe(lower(pooled.done(), frozenset(), goal=RAM).plan)
    assert [(b.kind, b.name) for b in info.blocks if b.kind == "sums"] == [("sums", "t1")]


@settings(deadline=None, max_examples=50)
@given(graphs())
def test_every_plan_can_be_described(graph: Graph) -> None:
    memory = plan_memory(graph, [Unit((node,)) for node in schedule(graph)], find_views(graph))
    info = describe(memory)
    assert sum(b.bytes for b in info.blocks) == sum(b.buffer.size for b in memory.blocks)
    assert [v.name for v in info.variables] == list(memory.state_offsets)
    assert [b.first for b in info.blocks] == sorted(b.first for b in info.blocks)
    assert {name for b in info.blocks for name in b.views} == {v.name for b in memory.blocks for v in b.values[1:]}


@pytest.mark.parametrize("length", [1, 7, 48, 49, 1000])
def test_slices_hold_all_that_they_stand_for(length: int) -> None:
    rng = np.random.default_rng(length)
    low = rng.integers(0, 50, length)
    high = low + rng.integers(0, 50, length)
    a, b = slices(low, high)
    assert len(a) == len(b) == min(SLICES, length)
    assert (a.min(), b.max()) == (low.min(), high.max())
    where = ((np.arange(length) + 1) * len(a) - 1) // length
    assert (a[where] <= low).all()
    assert (b[where] >= high).all()
