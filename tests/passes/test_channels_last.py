"""with_channels_last: inputs and outputs whose channels are first have them last; the same elements go in and out."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit.graph import Array, Graph
from chipfit.interpret import evaluate
from chipfit.ops.add import Add
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.hard_swish import HardSwish
from chipfit.ops.reshape import Reshape
from chipfit.ops.transpose import Transpose
from chipfit.passes import PIPELINE, with_channels_last
from passes.chains import inputs_for, ops_of
from passes.channels_first import Net, random_net, transposes


def last(x: Array) -> Array:
    return np.moveaxis(x, 1, -1)


def exchanged(graph: Graph) -> Graph:
    """The graph with channels last, of which each output has the bytes that the given one has."""
    PIPELINE.run(graph)
    before = [(v.name, v.type) for v in (*graph.inputs, *graph.outputs)]
    changed, notes = with_channels_last(graph, PIPELINE.run)
    moved = [note.split("'")[1] for note in notes if note.startswith("channels_last: ")]
    assert [(v.name, v.type) for v in (*graph.inputs, *graph.outputs)] == before, "the given graph is left alone"
    inputs = inputs_for(graph)
    given = [last(x) if v.name in moved else x for x, v in zip(inputs, changed.inputs, strict=True)]
    for v, y, expected in zip(changed.outputs, evaluate(changed, given), evaluate(graph, inputs), strict=True):
        np.testing.assert_array_equal(y, last(expected) if v.name in moved else expected)
    assert [v.name for v in (*changed.inputs, *changed.outputs)] == [name for name, _ in before]
    return changed


@pytest.mark.parametrize("is_float", [False, True])
def test_an_image_to_an_image(is_float: bool) -> None:
    net, x = Net.start(1, 3, 6, 5, is_float=is_float)
    graph = exchanged(net.done(net.conv(net.relu(net.conv(x, 4)), 2)))
    assert ops_of(graph) == ["conv2d", "conv2d"]
    assert (graph.inputs[0].shape, graph.outputs[0].shape) == ((1, 6, 5, 3), (1, 6, 5, 2))


def test_what_is_done_to_the_image_before_the_first_layer_follows() -> None:
    net, x = Net.start(1, 3, 6, 5)
    scaled = net.compute(Add(), x, net.constant(1, 3, 1, 1))
    graph = exchanged(net.done(net.global_pool(net.conv(scaled, 4), keep_dims=False)))
    assert ops_of(graph) == ["add", "conv2d", "mean"]
    assert graph.inputs[0].shape == (1, 6, 5, 3)
    assert graph.nodes[0]["b"].shape == (1, 1, 1, 3)


def test_one_channel_moves_no_element_but_has_its_place() -> None:
    net, x = Net.start(1, 1, 6, 5)
    graph = exchanged(net.done(net.dense(net.flat(net.conv(x, 4)), 3)))
    assert ops_of(graph) == ["conv2d", "reshape", "fully_connected"]
    assert graph.inputs[0].shape == (1, 6, 5, 1)


def test_a_sequence() -> None:
    net, x = Net.start(1, 4, 9)
    image = net.add(Reshape((1, 1, 9, 4)), net.add(Transpose((0, 2, 1)), x))
    y = net.layer(Conv2D(), image, (3, 1, 3, 4), 0)
    graph = exchanged(net.done(net.add(Transpose((0, 2, 1)), net.add(Reshape((1, 7, 3)), y))))
    assert ops_of(graph) == ["reshape", "conv2d", "reshape"]
    assert (graph.inputs[0].shape, graph.outputs[0].shape) == ((1, 9, 4), (1, 7, 3))


def test_only_what_has_channels_first_changes() -> None:
    """Of two inputs and two outputs, those that layers take or make with channels first."""
    net, x = Net.start(1, 3, 6, 5)
    mask = net.input(1, 6, 5, 4)
    inner = net.last(net.conv(x, 4))
    graph = exchanged(net.done(net.compute(Add(), inner, mask), net.first(net.compute(HardSwish(), inner))))
    assert not transposes(graph)
    assert [v.shape for v in graph.inputs] == [(1, 6, 5, 3), (1, 6, 5, 4)]
    assert [v.shape for v in graph.outputs] == [(1, 6, 5, 4), (1, 6, 5, 4)]


def test_a_model_with_channels_last_stays() -> None:
    net, x = Net.start(1, 6, 5, 1)
    y = net.layer(Conv2D(), x, (4, 3, 3, 1), 0)
    graph = net.done(net.layer(FullyConnected(), net.flat(y), (3, 48), 0))
    assert with_channels_last(graph, PIPELINE.run) == (graph, ())


def test_an_image_of_which_nothing_shows_the_order_stays() -> None:
    net, x = Net.start(1, 3, 6, 5)
    graph = net.done(net.dense(net.flat(x), 4))
    assert with_channels_last(graph, PIPELINE.run) == (graph, ())


def test_names_inside_stay_apart() -> None:
    net, x = Net.start(1, 3, 6, 5)
    graph = net.done(net.relu(x), net.conv(x, 4))
    graph.outputs[0].name = "x0/channels_first"
    changed = exchanged(graph)
    assert len({v.name for v in changed.values()}) == len(list(changed.values()))


@pytest.mark.parametrize("seed", range(40))
def test_random_nets(seed: int) -> None:
    exchanged(random_net(seed))
