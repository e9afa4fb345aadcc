"""Learnt rounding: what it minimises, that it never does harm where it is judged, and the layer around it."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit.graph import Array, Node
from chipfit.quantize import parse_recipe, quantize_graph, samples_of
from chipfit.quantize.adaround import HELD_BACK, Sums, adaround
from chipfit.quantize.layers import LAYERS
from chipfit.quantize.reconstruct import reconstruct
from quantize.nets import mobile, pictures

GROUPS, CHANNELS, POSITIONS, COLUMNS = 2, 5, 1500, 12
BOUNDS = (0.0, 6.0)


def problem() -> tuple[Array, Array, Sums]:
    """Inputs that depend on each other and are off by what earlier layers lost; many sums are clamped."""
    rng = np.random.default_rng(0)
    w = rng.normal(0, 1, (GROUPS, CHANNELS, COLUMNS))
    scales = np.abs(w).max(axis=2) / 7  # few steps: rounding hurts
    exact = rng.normal(0, 1, (GROUPS, POSITIONS, 3)) @ rng.normal(0, 1, (GROUPS, 3, COLUMNS))
    exact += rng.normal(0, 0.2, exact.shape)
    seen = exact + rng.normal(0, 0.02, exact.shape)
    target = exact @ w.transpose(0, 2, 1) + rng.normal(0, 1, (GROUPS, 1, CHANNELS))
    return w, scales, Sums(seen.astype(np.float32), target.astype(np.float32), BOUNDS)


def errors(q: Array, scales: Array, sums: Sums) -> Array:
    """Mean squares behind the clamp, each channel with the bias for which the means are equal there."""
    have = sums.columns.astype(np.float64) @ (q * scales[..., None]).transpose(0, 2, 1)
    b = sums.target.mean(axis=1, keepdims=True) - have.mean(axis=1, keepdims=True)
    wanted = np.clip(sums.target, *BOUNDS)
    for _ in range(30):
        b = b + (wanted - np.clip(have + b, *BOUNDS)).mean(axis=1, keepdims=True)
    return np.square(np.clip(have + b, *BOUNDS) - wanted).mean(axis=1)


def nearest(w: Array, scales: Array) -> Array:
    return np.rint(w / scales[..., None]).astype(np.int8)


def test_nearer_than_column_by_column() -> None:
    """On other positions than those that it learnt on: the clamp is what reconstruction does not know."""
    w, scales, sums = problem()
    start = reconstruct(w, scales, sums.columns)
    q = adaround(w, scales, start, sums)
    other = sums.part(slice(int(POSITIONS * (1 - HELD_BACK)), None))
    assert errors(q, scales, other).sum() < 0.95 * errors(start, scales, other).sum()
    assert errors(q, scales, sums).sum() < 0.5 * errors(nearest(w, scales), scales, sums).sum()


def test_weights_are_rounded_up_or_down() -> None:
    w, scales, sums = problem()
    q = adaround(w, scales, nearest(w, scales), sums)
    assert q.dtype == np.int8
    assert np.abs(q - w / scales[..., None]).max() <= 1.0 + 1e-6
    assert (q != nearest(w, scales)).any()


def test_every_channel_keeps_the_better_start() -> None:
    """Without iterations nothing is learnt: what comes out is the start wherever the nearest integers are worse."""
    w, scales, sums = problem()
    start = reconstruct(w, scales, sums.columns)
    q = adaround(w, scales, start, sums, iterations=0)
    is_start = (q == start).all(axis=2)
    assert is_start.mean() > 0.5
    np.testing.assert_array_equal(q[~is_start], nearest(w, scales)[~is_start])


def test_channels_are_rounded_each_by_itself() -> None:
    w, scales, sums = problem()
    start = nearest(w, scales)
    both = adaround(w, scales, start, sums)
    one = Sums(sums.columns[1:], sums.target[1:, :, 2:3], BOUNDS)
    alone = adaround(w[1:, 2:3], scales[1:, 2:3], start[1:, 2:3], one)
    assert (both[1:, 2:3] == alone).mean() > 0.9  # sums in another order differ in their last bits


def test_the_mean_of_the_inputs_does_not_matter() -> None:
    w, scales, sums = problem()
    start = nearest(w, scales)
    moved = Sums(sums.columns + np.float32(64.0), sums.target, BOUNDS)
    assert (adaround(w, scales, start, sums) == adaround(w, scales, start, moved)).mean() > 0.97


@pytest.mark.parametrize("count", [1, 2, 5])
def test_hardly_any_positions(count: int) -> None:
    w, scales, sums = problem()
    q = adaround(w, scales, nearest(w, scales), sums.part(slice(0, count)))
    assert np.abs(q - w / scales[..., None]).max() <= 1.0 + 1e-6


def test_inputs_that_never_change() -> None:
    """There is nothing to learn, and nothing to divide by."""
    w, scales, sums = problem()
    start = reconstruct(w, scales, sums.columns)
    still = Sums(np.full_like(sums.columns, 3.0), np.full_like(sums.target, 2.0), BOUNDS)
    np.testing.assert_array_equal(adaround(w, scales, start, still), start)


def test_the_step_changes_weights_within_a_step() -> None:
    """Off by default; when it is on, integers lie next to the real weights, and no output byte is left to chance."""
    graph = mobile(np.random.default_rng(0))
    samples = samples_of(pictures(np.random.default_rng(1), 24), graph.inputs)
    recipe = "int8 -equalize -reconstruct"
    plain, first, again = (
        quantize_graph(graph, samples, parse_recipe(f"{recipe}{more}")) for more in ("", " +adaround", " +adaround")
    )
    assert "adaround" not in parse_recipe("int8").steps
    for a, b, c in zip(plain.graph.nodes, first.graph.nodes, again.graph.nodes, strict=True):
        if not isinstance(a.op, LAYERS):
            continue
        np.testing.assert_array_equal(b["w"].array, c["w"].array)
        assert np.abs(a["w"].array.astype(int) - b["w"].array).max() <= 1
    changed = [n.name for a, n in zip(plain.graph.nodes, first.graph.nodes, strict=True) if differs(a, n)]
    assert {"depthwise", "pointwise", "second"} <= set(changed)
    assert first.report.sqnr > plain.report.sqnr


def differs(a: Node, b: Node) -> bool:
    return isinstance(a.op, LAYERS) and bool((a["w"].array != b["w"].array).any())
