"""Channels that go together, and the graph without them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chipfit.compress.channels.edit import without
from chipfit.compress.channels.fit import quick_refits, readings_of, without_refitted
from chipfit.compress.channels.order import orders
from chipfit.compress.channels.slopes import slopes_of
from chipfit.compress.channels.structure import Structure, structure_of
from chipfit.compress.judge import macs
from chipfit.graph import Array, Graph, Node
from chipfit.interpret import evaluate
from chipfit.quantize import Preprocessing, Samples
from chipfit.trainable.judge import float_outputs
from chipfit.training.loop import Data
from chipfit.training.pictures import PictureSet
from chipfit.training.split import Split
from compress.nets import NETS, SIDE, gated, grouped, moved, residual
from importers.keras_nets import keras_or_skip


def _pictures(rng: np.random.Generator, count: int = 64) -> Samples:
    return Samples((rng.normal(0, 1, (count, 1, SIDE, SIDE, 3)).astype(np.float32),), (None,))


def _silenced(structure: Structure, gone: Array) -> Graph:
    """The whole graph, whose layers multiply what is gone by 0."""
    weights = dict(structure.readers())
    graph = structure.graph.copy()
    for node, old in zip(graph.nodes, structure.graph.nodes, strict=True):
        if old in weights:
            numbers = weights[old]
            zero = (numbers >= 0) & gone[numbers]
            w = node["w"]
            data = w.array.copy()
            _columns(node, data, zero)
            w.data = data
    return graph


def _columns(node: Node, data: Array, zero: Array) -> None:
    if data.shape[-1] == len(zero):
        data[..., zero] = 0
        return
    share = len(zero) // data.shape[-1]  # groups: each reads its own channels
    for group, part in enumerate(np.split(zero, share)):
        rows = np.split(data, share)[group]
        rows[..., part] = 0


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("seed", range(4))
def test_what_is_left_computes_what_it_did(name: str, seed: int) -> None:
    """Removed channels are as good as channels that are multiplied by 0."""
    rng = np.random.default_rng(seed)
    structure = structure_of(NETS[name](rng))
    gone = np.zeros(structure.count, bool)
    for group in structure.open_groups:
        gone[rng.permutation(group.numbers)[: rng.integers(1, len(group.numbers))]] = True
    small = without(structure, gone)
    assert macs(small) < macs(structure.graph)
    x = rng.normal(0, 1, (1, SIDE, SIDE, 3)).astype(np.float32)
    wanted = evaluate(_silenced(structure, gone), [x])
    np.testing.assert_allclose(evaluate(small, [x])[0], wanted[0], rtol=1e-4, atol=1e-5)


def test_the_whole_graph_is_left_alone() -> None:
    graph = residual(np.random.default_rng(0))
    structure = structure_of(graph)
    before = {v.name: (v.shape, v.data) for v in graph.values()}
    gone = np.zeros(structure.count, bool)
    gone[structure.open_groups[0].numbers[:2]] = True
    without(structure, gone)
    assert {v.name: (v.shape, v.data) for v in graph.values()} == before


def test_an_addition_ties_its_layers() -> None:
    structure = structure_of(residual(np.random.default_rng(0)))
    first = structure.groups[0]
    assert first.tensors == ("first", "second")
    assert len(first.numbers) == 8
    last = structure.groups[-1]
    assert last.name == "logits"
    assert not len(last.numbers)
    assert "softmax" in last.reason


def test_a_gate_ties_what_makes_it() -> None:
    groups = {g.name: g for g in structure_of(gated(np.random.default_rng(0))).groups}
    assert groups["wide"].tensors == ("wide", "widened")
    assert groups["narrow"].tensors == ("narrow",)
    assert groups["narrow"].channels == 4


def test_groups_stay_equal() -> None:
    groups = {g.name: g for g in structure_of(grouped(np.random.default_rng(0))).groups}
    assert len(groups["wide"].numbers) == 4  # of 8 channels in two groups
    assert len(groups["halves"].numbers) == 6
    assert "spread over all channels" in groups["place"].reason


def test_what_is_sliced_away_is_free() -> None:
    structure = structure_of(moved(np.random.default_rng(0)))
    wide = structure.groups[0]
    # two channels before the slice and two behind it meet nothing
    assert wide.name == "wide"
    assert wide.channels == 8


def test_twins_are_made_up_for() -> None:
    """A channel that another one repeats goes first, and is not missed; nor is one that never changes."""
    rng = np.random.default_rng(1)
    graph = residual(rng)
    producer = next(n for n in graph.nodes if n.name == "deep")
    structure = structure_of(graph)
    # the first group's channels 2 and 5 are the same, in every layer that makes them
    for name in ("first", "deep", "second"):
        node = next(n for n in graph.nodes if n.name == name)
        for port in ("w", "b"):
            value = node[port]
            data = value.array.copy()
            axis = 3 if name == "deep" and port == "w" else 0
            at = [slice(None)] * data.ndim
            to = list(at)
            at[axis], to[axis] = slice(2, 3), slice(5, 6)
            data[tuple(to)] = data[tuple(at)]
            value.data = data
    assert producer["w"].array.shape[3] == 8
    samples = _pictures(rng)
    readings = readings_of(structure, samples)
    group = structure.open_groups[0]
    first = orders(structure, "fitted", readings)[group.name][0]
    assert first in group.numbers[[2, 5]]
    gone = np.zeros(structure.count, bool)
    gone[first] = True
    wanted = float_outputs(graph, samples)
    plain = float_outputs(without(structure, gone), samples)
    quick = float_outputs(without(structure, gone, quick_refits(readings, gone)), samples)
    fitted = float_outputs(without_refitted(structure, gone, samples), samples)
    assert np.abs(plain - wanted).max() > 1e-2
    assert np.abs(quick - wanted).max() < 5e-3
    assert np.abs(fitted - wanted).max() < 5e-3


@pytest.mark.parametrize("name", NETS)
def test_fitting_helps(name: str) -> None:
    rng = np.random.default_rng(3)
    structure = structure_of(NETS[name](rng))
    samples = _pictures(rng, 256)
    order = orders(structure, "fitted", readings_of(structure, samples))
    gone = np.zeros(structure.count, bool)
    for group in structure.open_groups:
        gone[order[group.name][: len(group.numbers) // 3]] = True
    wanted = float_outputs(structure.graph, samples)
    errors = [
        float(np.square(float_outputs(graph, samples) - wanted).mean())
        for graph in (without(structure, gone), without_refitted(structure, gone, samples))
    ]
    assert errors[1] < 0.7 * errors[0]


def test_norms_decide_without_samples() -> None:
    graph = residual(np.random.default_rng(0))
    node = graph.nodes[0]
    w = node["w"]
    data = w.array.copy()
    data[3] *= 1e-3
    w.data = data
    other = next(n for n in graph.nodes if n.name == "second")["w"]
    data = other.array.copy()
    data[3] *= 1e-3
    other.data = data
    deep = next(n for n in graph.nodes if n.name == "deep")["w"]
    data = deep.array.copy()
    data[..., 3] *= 1e-3
    deep.data = data
    structure = structure_of(graph)
    group = structure.open_groups[0]
    for importance in ("l1", "l2"):
        assert orders(structure, importance, {})[group.name][0] == group.numbers[3]


def test_slopes_are_gradients() -> None:
    """Of the cross-entropy, against a small step of one bias."""
    keras_or_skip()
    rng = np.random.default_rng(0)
    graph = residual(rng)
    x = rng.normal(0, 1, (32, SIDE, SIDE, 3)).astype(np.float32)
    labels = rng.integers(0, 5, 32)
    names = tuple("abcde")
    files = tuple(map(str, range(32)))
    how = Preprocessing()
    pictures = PictureSet(Path(), x, labels, names, files, files, None, how)
    split = Split(np.arange(32), np.arange(32), "all")
    data = Data(pictures, split, how, names, np.eye(5, dtype=np.float32), np.ones(5, np.float32))
    slopes = slopes_of(graph, data)

    def loss(step: float) -> float:
        moved = graph.copy()
        b = next(n for n in moved.nodes if n.name == "logits")["b"]
        b.data = b.array + np.float32(step) * np.eye(5, dtype=np.float32)[2]
        p = float_outputs(moved, Samples((x[:, None],), (None,)))
        return float(-np.log(p[np.arange(32), labels]).mean())

    name = next(n for n in graph.nodes if n.name == "logits")["b"].name
    assert slopes[name][2] == pytest.approx((loss(0.01) - loss(-0.01)) / 0.02, abs=0.005)
    structure = structure_of(graph)
    order = orders(structure, "taylor", readings_of(structure, Samples((x[:, None],), (None,))), slopes)
    assert sorted(order[structure.open_groups[0].name]) == sorted(structure.open_groups[0].numbers)
