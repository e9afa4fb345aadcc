"""The arena in several memories: what goes where, and that no part holds more than its memory has."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.codegen import Goal, Program, lower
from chipfit.errors import ChipfitError
from chipfit.graph import Graph
from chipfit.plan import Block, Buffer, MemoryPlan, Room, Rooms
from chipfit.plan.split import split
from codegen.models import running_sum
from plan.images import ImageNet, random_net

LARGE = 1 << 20


def rooms(*free: int, wanted: tuple[tuple[str, str], ...] = ()) -> Rooms:
    """Memories ``m0`` (the fastest), ``m1`` and so on."""
    return Rooms(tuple(Room(f"m{i}", n) for i, n in enumerate(free)), wanted)


def program(graph: Graph, where: Rooms | None, rows: bool = False) -> Program:
    return lower(graph, frozenset(), goal=Goal(rows=rows, rooms=where))


def memory_of(plan: MemoryPlan, block: Block) -> str | None:
    return plan.regions[block.region].memory


def put(sizes: list[int], heat: list[float], free: tuple[int, ...], **options: object) -> list[int]:
    """The room of each of these buffers, all alive together."""
    buffers = [Buffer(f"b{i}", size, 0, 1) for i, size in enumerate(sizes)]
    names = [(b.name,) for b in buffers]
    wanted: tuple[tuple[str, str], ...] = options.get("wanted", ())  # type: ignore[assignment]
    done = split(buffers, {}, [(0, h) for h in heat], names, rooms(*free, wanted=wanted), state=(0, 0.0), alignment=4)
    return [int(str(done.regions[r].memory)[1:]) for r in done.region_of]


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.floats(0.05, 0.95), st.booleans())
def test_every_part_fits_its_memory(seed: int, share: float, rows: bool) -> None:
    """The proof runs within the planner; here it is what each memory is asked to hold."""
    graph = random_net(seed).done()
    whole = program(graph, None, rows).plan
    free = int(whole.arena_bytes * share) // 4 * 4
    plan = program(graph, rooms(free, LARGE), rows).plan
    assert sum(region.bytes for region in plan.regions) == plan.arena_bytes
    assert [r.begin for r in plan.regions] == [sum(q.bytes for q in plan.regions[:i]) for i in range(len(plan.regions))]
    assert all(region.bytes <= free for region in plan.regions if region.memory == "m0")
    for block in plan.blocks:
        region = plan.regions[block.region]
        assert region.begin <= block.offset <= region.begin + region.bytes - block.buffer.size
    plan.check(graph)


def test_what_fits_the_fastest_stays_together() -> None:
    graph = random_net(3).done()
    whole = program(graph, None).plan
    plan = program(graph, rooms(whole.arena_bytes, LARGE)).plan
    assert [region.memory for region in plan.regions] == ["m0"]
    assert plan.offsets.keys() == whole.offsets.keys()
    assert list(plan.offsets.values()) == list(whole.offsets.values())
    assert len(program(graph, rooms(whole.arena_bytes - 4, LARGE)).plan.regions) == 2


def test_a_memory_of_one_room_is_one_block_however_small() -> None:
    graph = random_net(3).done()
    assert len(program(graph, rooms(4)).plan.regions) == 1


def test_the_hot_ones_take_the_fast_memory() -> None:
    assert put([100, 100, 100], [1.0, 9.0, 5.0], (200, 1000)) == [1, 0, 0]
    assert put([100, 100, 100], [1.0, 9.0, 5.0], (100, 100, 1000)) == [2, 0, 1]
    assert put([400, 8], [9.0, 1.0], (100, 1000)) == [1, 0]  # too large; what is colder still fits


def test_what_is_wanted_comes_first() -> None:
    assert put([100, 100], [1.0, 9.0], (100, 1000), wanted=(("b0", "m0"),)) == [0, 1]
    assert put([8, 8], [1.0, 9.0], (100, 1000), wanted=(("b?", "m1"),)) == [1, 1]
    assert put([8, 8], [1.0, 9.0], (100, 1000), wanted=(("b1", "m0"), ("arena", "m1"))) == [1, 0]
    assert put([8, 8], [1.0, 9.0], (100, 1000), wanted=(("b1", "m0"), ("b1", "m1"))) == [0, 1]
    assert put([200], [1.0], (100, 1000), wanted=(("b0", "m0"),)) == [0]  # too much for it: the caller compares


def test_what_fits_nowhere_goes_into_the_largest() -> None:
    assert put([500, 50], [9.0, 1.0], (100, 300, 200)) == [1, 0]


@pytest.mark.parametrize("rows", [False, True])
def test_working_memory_before_tensors(rows: bool) -> None:
    net = ImageNet(5, 12, 10, 4)
    net.conv(8, 3)
    net.depthwise(3)
    net.conv(4, 3)
    plan = lower(net.done(), frozenset({"dsp", "unaligned"}), goal=Goal(rows=rows, rooms=rooms(1500, LARGE))).plan
    own = [b for b in plan.blocks if b.kind in ("scratch", "rows", "sums")]
    assert own
    assert {memory_of(plan, b) for b in own} == {"m0"}
    assert "m1" in {memory_of(plan, b) for b in plan.blocks}


def test_state_has_its_place() -> None:
    graph = running_sum()
    plan = program(graph, rooms(4, LARGE, wanted=(("state", "m1"),))).plan
    assert plan.regions[plan.state_region].memory == "m1"
    assert {memory_of(plan, b) for b in plan.blocks if b.buffer.size} <= {"m0", "m1"}
    everything = program(graph, rooms(LARGE, LARGE, wanted=(("arena", "m1"), ("state", "m0"))))
    assert everything.plan.regions[everything.plan.state_region].memory == "m0"
    assert {memory_of(everything.plan, b) for b in everything.plan.blocks} == {"m1"}
    assert [(b.memory, b.arena > 0, b.state) for b in everything.blocks] == [("m0", False, 4), ("m1", True, 0)]


def split_plan() -> tuple[Graph, MemoryPlan]:
    graph = random_net(3).done()
    return graph, program(graph, rooms(program(graph, None).plan.arena_bytes // 2, LARGE)).plan


def test_a_block_across_two_memories_is_caught() -> None:
    graph, plan = split_plan()
    first, second = plan.regions
    shorter = dataclasses.replace(first, bytes=first.bytes - 4), dataclasses.replace(second, begin=first.bytes - 4)
    with pytest.raises(ChipfitError, match="does not lie in one memory") as caught:
        dataclasses.replace(plan, regions=shorter).check(graph)
    assert caught.value.code == "M002"


def test_a_memory_one_byte_too_small_is_caught() -> None:
    graph, plan = split_plan()
    first, second = plan.regions
    smaller = dataclasses.replace(second, bytes=second.bytes - 1)
    with pytest.raises(ChipfitError, match="does not lie in one memory"):
        dataclasses.replace(plan, regions=(first, smaller)).check(graph)
