"""Distances at which an output may lie over its dying input: against brute force, and one byte tighter breaks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.graph import Node
from chipfit.ops import Traversal
from chipfit.ops._traversal import line_traversal, windows_traversal
from chipfit.plan.overlay import allows, both, forbidden_by, forbidden_in_time, least_union, union
from chipfit.plan.replay import survives
from plan.images import ImageNet


def conv(h: int, w: int, ci: int, co: int, k: int, stride: int, same: bool) -> Node:
    net = ImageNet(0, h, w, ci)
    net.conv(co, k, stride, same)
    return net.done().nodes[0]


def depthwise(h: int, w: int, c: int, k: int, stride: int = 1) -> Node:
    net = ImageNet(0, h, w, c)
    net.depthwise(k, stride)
    return net.done().nodes[0]


def sizes(node: Node) -> tuple[int, int]:
    return node["x"].type.nbytes, node["y"].type.nbytes


# The closed forms of the literature on diagonal memory; strict kernels: every output channel reads the window again.


@pytest.mark.parametrize(("n", "ci", "co"), [(16, 8, 4), (16, 8, 8), (9, 5, 3)])
def test_a_pointwise_layer_that_narrows(n: int, ci: int, co: int) -> None:
    node = conv(1, n, ci, co, 1, 1, same=False)
    forward = windows_traversal(node, block=1, staged=False)
    backward = windows_traversal(node, block=1, staged=False, backward=True)
    assert forward is not None
    assert backward is not None
    assert forbidden_by(forward, "x") == ((-co, n * ci),)
    assert forbidden_by(backward, "x")[-1][1] == n * (ci - co) + co
    staged = windows_traversal(node, block=1, staged=True)
    assert staged is not None
    assert least_union(forbidden_by(staged, "x"), *sizes(node)) == n * max(ci, co)


def test_a_pointwise_layer_that_widens() -> None:
    n, ci, co = 16, 4, 8
    node = conv(1, n, ci, co, 1, 1, same=False)
    forward = windows_traversal(node, block=1, staged=False)
    assert forward is not None
    assert forbidden_by(forward, "x")[0][0] == -n * (co - ci) - ci
    staged = windows_traversal(node, block=1, staged=True)
    assert staged is not None
    assert least_union(forbidden_by(staged, "x"), *sizes(node)) == n * co


@pytest.mark.parametrize(("h", "w", "c", "k"), [(6, 7, 4, 3), (9, 5, 3, 5)])
def test_a_depthwise_layer_channel_by_channel(h: int, w: int, c: int, k: int) -> None:
    """At whole pixels the bands of lines may follow each other as closely as the padding is high."""
    node = depthwise(h, w, c, k)
    forward = line_traversal(node, along_rows=True, band=1, lane=c)
    backward = line_traversal(node, along_rows=True, band=1, lane=c, backward=True)
    assert forward is not None
    assert backward is not None
    pad = k // 2
    assert allows(forbidden_by(forward, "x"), -pad * w * c)
    assert not allows(forbidden_by(forward, "x"), -pad * w * c + c)
    assert not allows(forbidden_by(forward, "x"), -pad * w * c - 1)
    assert allows(forbidden_by(backward, "x"), pad * w * c)
    whole = line_traversal(node, along_rows=True, band=h, lane=c)
    assert whole is not None
    assert allows(forbidden_by(whole, "x"), 0)  # one band: all of a channel is read before any of it is written
    assert not allows(forbidden_by(whole, "x"), 1)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_the_planner_and_the_replay_agree_on_every_distance(data: st.DataObject) -> None:
    """Two derivations: the hull of what is still to be read, and every byte's last read and first write."""
    draw = data.draw
    k, stride = draw(st.sampled_from([1, 2, 3])), draw(st.sampled_from([1, 2, 3]))
    h, w = draw(st.integers(3, 7)), draw(st.integers(3, 7))
    node = conv(h, w, draw(st.integers(1, 4)), draw(st.integers(1, 4)), k, stride, draw(st.booleans()))
    block, staged, backward = draw(st.integers(1, 3)), draw(st.booleans()), draw(st.booleans())
    traversal = windows_traversal(node, block=block, staged=staged, backward=backward)
    assert traversal is not None
    spans = forbidden_by(traversal, "x")
    size, out = sizes(node)
    for distance in range(-out - 1, size + 2):
        if allows(spans, distance):
            assert survives(traversal, "x", size, out, distance)
    edges = [d for span in spans for d in span if -out < d < size]
    for edge in edges:
        assert survives(traversal, "x", size, out, edge)


def test_one_byte_tighter_is_caught() -> None:
    node = conv(6, 6, 3, 3, 3, 1, same=True)
    traversal = windows_traversal(node, block=1, staged=False)
    assert traversal is not None
    edge = forbidden_by(traversal, "x")[0][0]
    assert edge == -(6 + 2) * 3  # a row and two pixels
    size, out = sizes(node)
    assert survives(traversal, "x", size, out, edge)
    assert not survives(traversal, "x", size, out, edge + 1)


def test_a_batch_has_no_backward_traversal() -> None:
    net = ImageNet(0, 4, 4, 2)
    net.conv(2, 1)
    node = net.done().nodes[0]
    assert windows_traversal(node, block=2, staged=True, backward=True) is not None
    assert isinstance(windows_traversal(node, block=2, staged=True), Traversal)


@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 9))))
def test_a_union_forbids_what_any_part_forbids(items: list[tuple[int, int]]) -> None:
    spans = [(lo, lo + n) for lo, n in items]
    merged = union(spans)
    for d in range(-25, 35):
        assert allows(merged, d) == (not any(lo < d < hi for lo, hi in spans))
    assert all(a[1] <= b[0] for a, b in pairwise(merged))


@given(*[st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 9)), max_size=4)] * 2)
def test_two_directions_forbid_only_what_both_forbid(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    first, second = (union((lo, lo + n) for lo, n in items) for items in (a, b))
    common = both(first, second)
    for d in range(-25, 35):
        assert allows(common, d) == (allows(first, d) or allows(second, d))


@given(st.lists(st.tuples(*[st.integers(0, 6)] * 4), min_size=1, max_size=6))
def test_two_blocks_must_not_meet_at_any_moment(moments: list[tuple[int, int, int, int]]) -> None:
    a = np.array([[m[0], m[0] + m[1]] for m in moments]).T
    b = np.array([[m[2], m[2] + m[3]] for m in moments]).T
    spans = forbidden_in_time((a[0], a[1]), (b[0], b[1]))
    for d in range(-16, 17):
        meet = any(
            x[0] < d + y[1] and d + y[0] < x[1] and x[0] < x[1] and y[0] < y[1] for x, y in zip(a.T, b.T, strict=True)
        )
        assert allows(spans, d) == (not meet)
