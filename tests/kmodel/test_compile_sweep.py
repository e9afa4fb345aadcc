"""Weights that make up for each other's rounding, biases, and a step for each channel."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit.graph import Array, Graph, Node, Value
from chipfit.kmodel.compile import sweep as sweep_module
from chipfit.kmodel.compile.compiled import Compiled, compile_graph
from chipfit.kmodel.compile.grid import Grid
from chipfit.kmodel.compile.lower import grids as grids_module
from chipfit.kmodel.compile.lower.grids import grids_of
from chipfit.kmodel.compile.quantize import Rounded, by_input
from chipfit.kmodel.compile.report import noise_of
from chipfit.kmodel.compile.statistics import observe
from chipfit.kmodel.compile.sweep import sweep
from chipfit.ops._activation import Activation
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.quantize import Samples
from kmodel.graphs import AROUND, Net

PIXELS = Grid(np.array([1 / 255]), np.array([0.0]))


def smooth(shape: tuple[int, ...], count: int) -> Samples:
    """Pictures whose neighbouring pixels are alike, as those of a camera are."""
    rng = np.random.default_rng(1)
    coarse = rng.uniform(0.1, 0.9, (count, 1, shape[1] // 4, shape[2] // 4, shape[3]))
    fine = np.repeat(np.repeat(coarse, 4, axis=2), 4, axis=3) + rng.normal(0, 0.03, (count, *shape))
    return Samples(((np.rint(np.clip(fine, 0, 1) * 255) / 255).astype(np.float32),), (None,))


def noise(made: Compiled, samples: Samples) -> float:
    found = noise_of(made, samples)[""]
    assert found is not None
    return found


def fitted(graph: Graph, samples: Samples) -> tuple[dict[Value, Rounded], dict[Value, Grid]]:
    grids = grids_of(graph, observe(graph, samples), {graph.inputs[0]: PIXELS})
    return sweep(graph, grids, samples), grids


def test_sums_come_nearer_than_with_the_nearest_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """On samples that nothing was fitted to, too."""
    net = Net(1, 12, 12, 4)
    graph, samples = net.done(net.conv(net.x, 6)), smooth((1, 12, 12, 4), 12)
    learned = Samples((samples.arrays[0][:8],), (None,))
    others = samples.arrays[0][8:].reshape(-1, 12, 12, 4)
    node = graph.nodes[0]

    def error() -> float:
        made, grids = fitted(graph, learned)
        exact, ours = both_sums(others, node, made[node["y"]], grids[net.x])
        return float(np.square(ours - exact).mean())

    best = error()
    monkeypatch.setattr(sweep_module, "MOST_COLUMNS", 0)
    assert best < 0.5 * error()


@pytest.mark.parametrize("act", ["none", "relu"])
def test_each_channel_keeps_its_mean(act: Activation) -> None:
    net = Net(1, 12, 12, 4)
    graph = net.done(net.add(AveragePool2D(), net.conv(net.x, 6, act=act)))
    samples = smooth((1, 12, 12, 4), 6)
    node = graph.nodes[0]
    made, grids = fitted(graph, samples)
    low = 0.0 if act == "relu" else -np.inf
    both = both_sums(samples.arrays[0].reshape(-1, 12, 12, 4), node, made[node["y"]], grids[net.x])
    means = [np.clip(sums, low, np.inf).mean(axis=(0, 1, 2)) for sums in both]
    np.testing.assert_allclose(*means, atol=2e-5)


def both_sums(x: Array, node: Node, made: Rounded, grid: Grid) -> tuple[Array, Array]:
    """With the float weights, and with those of the kmodel."""
    stored = made.stored / by_input(grid.step, depthwise=False)
    exact = _sums(x, node["w"].array.astype(np.float64)) + node["b"].array
    return exact, _sums(x, stored.transpose(0, 2, 3, 1)) + made.bias


def _sums(x: Array, w: Array) -> Array:
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    parts = [padded[:, i : i + x.shape[1], j : j + x.shape[2]] @ w[:, i, j].T for i, j in np.ndindex(3, 3)]
    return np.sum(parts, axis=0)


# ------------------------------------------------------------------------------------- a step for each channel


def uneven(act: Activation = "relu6") -> tuple[Net, Value]:
    """Every second channel of the tensor between the layers is a quarter as large."""
    net = Net(1, 16, 16, 4)
    size = np.where(np.arange(16) % 2, 1.0, 0.25)
    w = net.rng.normal(0, 0.1, (16, 3, 3, 4)) * size[:, None, None, None]
    b = net.rng.uniform(0, 1, 16) * size
    return net, net.add(Conv2D(pad=AROUND, act=act), net.x, net.constant(w), net.constant(b))


def taking_it_back(net: Net, x: Value) -> Value:
    size = np.where(np.arange(16) % 2, 1.0, 4.0)
    w = net.constant(net.rng.normal(0, 1, (1, 3, 3, 16)) * size)
    return net.add(DepthwiseConv2D(pad=AROUND), x, w, net.constant(np.zeros(16)))


@pytest.mark.parametrize("act", ["relu", "relu6"])
def test_small_channels_fill_their_bytes(monkeypatch: pytest.MonkeyPatch, act: Activation) -> None:
    net, x = uneven(act)
    graph, samples = net.done(taking_it_back(net, x)), smooth((1, 16, 16, 4), 6)
    ours = noise(compile_graph(graph, samples, {"x": PIXELS}), samples)
    monkeypatch.setattr(grids_module, "MOST_FACTOR", 1.0)
    assert ours > noise(compile_graph(graph, samples, {"x": PIXELS}), samples) + 3.0


def test_what_else_reads_a_tensor_gets_one_step() -> None:
    """The CPU knows no steps of channels; other functions than ReLU are tables for all channels."""
    for build in (
        lambda net, x: net.add(AveragePool2D(kernel=(3, 3), stride=(3, 3)), x),
        lambda net, x: x,
        lambda net, x: taking_it_back(net, net.add(AveragePool2D(), x)),
    ):
        net, x = uneven()
        graph = net.done(build(net, x))
        grids = grids_of(graph, observe(graph, smooth((1, 16, 16, 4), 2)), {net.x: PIXELS})
        assert grids[x].is_plain
    net, x = uneven(act="none")
    graph = net.done(taking_it_back(net, x))
    assert grids_of(graph, observe(graph, smooth((1, 16, 16, 4), 2)), {net.x: PIXELS})[x].is_plain
