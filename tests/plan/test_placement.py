"""Placement of buffers: never two in one place, never below the bound, optimal where that can be known."""

from __future__ import annotations

import itertools
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.plan import Buffer, Placement, place
from chipfit.plan.memory import Overlays, Spans, align, busiest_step


@st.composite
def buffer_lists(draw: st.DrawFn, max_count: int = 14, max_size: int = 60) -> list[Buffer]:
    count = draw(st.integers(0, max_count))
    buffers: list[Buffer] = []
    for i in range(count):
        first = draw(st.integers(-1, 10))
        buffers.append(Buffer(f"b{i}", draw(st.integers(0, max_size)), first, first + draw(st.integers(0, 5))))
    return buffers


@st.composite
def overlaid(draw: st.DrawFn) -> tuple[list[Buffer], Overlays]:
    """Buffers and rules for pairs of them, as an operator would state them for its input and output."""
    buffers = draw(buffer_lists(8))
    rules: dict[tuple[int, int], Spans] = {}
    for i, j in itertools.combinations(range(len(buffers)), 2):
        if draw(st.booleans()):
            pair = (i, j) if draw(st.booleans()) else (j, i)
            ends = sorted(draw(st.lists(st.integers(-70, 80), min_size=2, max_size=5)))
            rules[pair] = tuple(pairwise(ends)) if draw(st.booleans()) else ((ends[0], ends[-1]),)
    return buffers, rules


def clash(buffers: list[Buffer], offsets: tuple[int, ...], overlays: Overlays) -> tuple[int, int] | None:
    """The first pair that is alive together and closer than allowed."""
    for i, j in itertools.combinations(range(len(buffers)), 2):
        a, b = buffers[i], buffers[j]
        together = a.first <= b.last and b.first <= a.last
        apart = offsets[i] + a.size <= offsets[j] or offsets[j] + b.size <= offsets[i] or not (a.size and b.size)
        allowed = False
        for x, y in ((i, j), (j, i)):
            if (x, y) in overlays:
                allowed |= not any(lo < offsets[y] - offsets[x] < hi for lo, hi in overlays[x, y])
        if together and not apart and not allowed:
            return i, j
    return None


def optimum(buffers: list[Buffer]) -> int:
    """The least peak of all placements whatever: every offset is a sum of sizes of other buffers, or 0."""
    best = sum(b.size for b in buffers)

    def extend(k: int, offsets: tuple[int, ...], peak: int) -> None:
        nonlocal best
        if peak >= best:
            return
        if k == len(buffers):
            best = peak
            return
        others = [b.size for i, b in enumerate(buffers) if i != k]
        sums = {sum(c) for n in range(len(others) + 1) for c in itertools.combinations(others, n)}
        for x in sums:
            if x + buffers[k].size < best and clash(buffers[: k + 1], (*offsets, x), {}) is None:
                extend(k + 1, (*offsets, x), max(peak, x + buffers[k].size))

    extend(0, (), 0)
    return best


def assert_sound(buffers: list[Buffer], placement: Placement, alignment: int, overlays: Overlays) -> None:
    assert len(placement.offsets) == len(buffers)
    assert all(x >= 0 and x % alignment == 0 for x in placement.offsets)
    assert clash(buffers, placement.offsets, overlays) is None
    tops = [x + align(b.size, alignment) for x, b in zip(placement.offsets, buffers, strict=True)]
    assert placement.peak == max(tops, default=0)
    assert placement.peak >= placement.lower_bound


@settings(deadline=None)
@given(buffer_lists(), st.sampled_from([1, 4, 16]))
def test_no_two_live_buffers_overlap(buffers: list[Buffer], alignment: int) -> None:
    placement = place(buffers, alignment=alignment, effort=5_000)
    assert_sound(buffers, placement, alignment, {})
    assert placement == place(buffers, alignment=alignment, effort=5_000)
    live = [sum(align(b.size, alignment) for b in buffers if b.lives_at(t)) for t in range(-1, 20)]
    assert placement.lower_bound == max(live)


@settings(deadline=None)
@given(overlaid(), st.sampled_from([1, 4]))
def test_overlay_rules_are_kept(case: tuple[list[Buffer], Overlays], alignment: int) -> None:
    buffers, overlays = case
    assert_sound(buffers, place(buffers, alignment=alignment, overlays=overlays, effort=5_000), alignment, overlays)


@settings(deadline=None, max_examples=60)
@given(buffer_lists(max_count=5, max_size=7))
def test_few_buffers_are_placed_optimally(buffers: list[Buffer]) -> None:
    assert place(buffers, alignment=1).peak == optimum([b for b in buffers if b.size])


@settings(deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=40))
def test_a_chain_reaches_its_bound(sizes: list[int]) -> None:
    buffers = [Buffer(f"b{i}", size, i, i + 1) for i, size in enumerate(sizes)]
    placement = place(buffers)
    assert placement.peak == placement.lower_bound


def test_a_chain_where_largest_first_is_not_good_enough() -> None:
    """The first layers of MobileNet 0.25 at 96x96: the one in the middle must leave room on its right side."""
    sizes = [27_648, 18_432, 18_432, 36_864, 9_216, 18_432, 18_432, 18_432, 4_608]
    buffers = [Buffer(f"b{i}", size, i, i + 1) for i, size in enumerate(sizes)]
    placement = place(buffers)
    assert placement.peak == placement.lower_bound == 55_296
    assert placement.how != "by size"


def cut(rng: random.Random, count: int, height: int, steps: int) -> list[Buffer]:
    """A rectangle cut into ``count`` pieces: an instance whose optimum is its lower bound, without any gap."""
    pieces = [(0, height, 0, steps)]
    while len(pieces) < count:
        lo, hi, first, last = pieces.pop(rng.randrange(len(pieces)))
        if hi - lo > 1 and (rng.random() < 0.5 or last - first < 2):
            at = rng.randrange(lo + 1, hi)
            pieces += [(lo, at, first, last), (at, hi, first, last)]
        elif last - first > 1:
            at = rng.randrange(first + 1, last)
            pieces += [(lo, hi, first, at), (lo, hi, at, last)]
        else:
            pieces.append((lo, hi, first, last))
    rng.shuffle(pieces)
    return [Buffer(f"b{i}", 4 * (hi - lo), first, last - 1) for i, (lo, hi, first, last) in enumerate(pieces)]


@pytest.mark.parametrize("seed", range(10))
def test_gapless_instances_are_solved(seed: int) -> None:
    buffers = cut(random.Random(seed), 16, 100, 30)
    assert place(buffers).peak == 400


def test_an_overlay_saves_what_its_rule_allows() -> None:
    """A pointwise convolution, 16 pixels, 8 to 4 channels: forward its output may lie 4 bytes below its input."""
    x, y = Buffer("x", 128, 0, 0), Buffer("y", 64, 0, 1)
    assert place([x, y]).peak == 192
    for overlays in ({(0, 1): ((-4, 128),)}, {(1, 0): ((-128, 4),)}):
        placement = place([x, y], overlays=overlays)
        assert placement.peak == placement.lower_bound == 132
        assert placement.offsets == (4, 0)


def test_distances_of_overlays_are_aligned_to_the_safe_side() -> None:
    x, y = Buffer("x", 30, 0, 0), Buffer("y", 30, 0, 1)
    placement = place([x, y], overlays={(0, 1): ((-5, 30),)})
    assert placement.offsets == (8, 0)
    assert placement.peak == placement.lower_bound == 40


def test_a_single_distance_may_be_allowed() -> None:
    """In place or apart, nothing between: two forbidden intervals that touch at 0. Off the grid it is lost."""
    x, y = Buffer("x", 40, 0, 0), Buffer("y", 40, 0, 1)
    assert place([x, y], overlays={(0, 1): ((-40, 0), (0, 40))}).peak == 40
    assert place([x, y], overlays={(0, 1): ((-40, 8), (8, 40))}).offsets in ((0, 8), (8, 0))
    assert place([x, y], overlays={(0, 1): ((-40, 2), (2, 40))}).peak == 80


def test_empty_buffers_and_no_buffers() -> None:
    assert place([]) == Placement((), 0, 0, "by size")
    placement = place([Buffer("a", 0, 0, 3), Buffer("b", 5, 0, 3), Buffer("c", 0, 1, 1)])
    assert placement.offsets == (0, 0, 0)
    assert placement.peak == placement.lower_bound == 8


def test_the_busiest_step() -> None:
    buffers = [Buffer("a", 8, -1, 0), Buffer("b", 4, 0, 2), Buffer("c", 12, 2, 3)]
    assert busiest_step(buffers) == (2, 16)


@pytest.mark.parametrize(("size", "first", "last"), [(-1, 0, 0), (4, 2, 1)])
def test_impossible_buffers_are_refused(size: int, first: int, last: int) -> None:
    with pytest.raises(ValueError, match="no such buffer"):
        Buffer("b", size, first, last)
