"""Fake quantization against the integer graph that is exported: the same stored integers, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph
from chipfit.model import load
from chipfit.quantize import Range, Samples, parse_recipe
from chipfit.quantize.calibrate import trace
from chipfit.quantize.parameters import dequantize_array, quantize_array
from chipfit.trainable.fake import Fake
from chipfit.trainable.grid import Grids, prepared
from chipfit.trainable.keras_model import model_class
from chipfit.trainable.model import Aim, Net
from importers.keras_nets import random_net

COUNT = 8


class Learning:
    """A graph in fake quantization, with all that it computes. ``change``: of the ranges that it begins with."""

    def __init__(
        self, keras: Any, graph: Graph, x: Array, change: Callable[[Range], Range] = lambda found: found
    ) -> None:
        self.keras, self.x = keras, x
        self.grids: Grids = prepared(graph, Samples((x,), (None,)), parse_recipe("int8"))
        self.grids.ranges.update({name: change(found) for name, found in self.grids.ranges.items()})
        self.fake = Fake(self.grids, settle=1, follow=0.5)
        self.net = Net(self.grids.graph, arithmetic=self.fake)
        values = {v.name: v for node in self.grids.graph.nodes for v in node.outputs}
        self.raw = graph.nodes[-1]["x"].name if graph.nodes[-1].op.name == "softmax" else graph.outputs[0].name
        self.model = model_class(keras)(self.net, values, self.raw, Aim("logits"), None)

    @property
    def pixels(self) -> Array:
        """As a Keras model takes them."""
        return self.x.reshape(len(self.x), *self.x.shape[2:])

    def step(self) -> None:
        """Learn from one batch."""
        outputs = int(np.prod(self.grids.graph.outputs[0].shape))
        y = np.eye(outputs, dtype=np.float32)[np.arange(COUNT) % outputs]
        self.fake.refresh(True)
        targets = {"y": y, "weights": np.ones(COUNT, np.float32), "extra": {}}
        self.model.train_on_batch(self.pixels, targets)

    def exported(self) -> Graph:
        arrays = {value.name: form.array() for value, form in self.net.forms.items()}
        return self.fake.integer({**arrays, **self.fake.kept()})

    def differing(self, *, learns: bool = False) -> dict[str, float]:
        """Shares of stored integers that are others than those of the exported graph, where there are any. ``learns``:
        as it computes then; its ranges must stay."""
        self.fake.refresh(False)
        found = self.model(self.pixels, training=True) if learns else self.model.predict_on_batch(self.pixels)
        found = {name: self.keras.ops.convert_to_numpy(y) for name, y in found.items()}
        graph = self.exported()
        shares: dict[str, float] = {}
        for value, y in trace(graph, (quantize_array(self.x, graph.inputs[0].q),)):
            if value.name in found:
                steps = (found[value.name] - dequantize_array(y, value.q)) / value.q.s
                if np.rint(steps).any():
                    shares[value.name] = float((np.rint(steps) != 0).mean())
        return shares


def inputs_for(graph: Graph, seed: int) -> Array:
    return np.random.default_rng(seed).normal(0.0, 1.0, (COUNT, *graph.inputs[0].shape)).astype(np.float32)


@pytest.mark.parametrize("seed", [0, 3, 7, 10, 18])
def test_all_tensors_are_those_of_the_exported_graph(keras: Any, seed: int) -> None:
    """Also after steps of learning, with which weights, ranges and grids have moved."""
    graph = load(random_net(keras, seed)).graph
    learning = Learning(keras, graph, inputs_for(graph, seed))
    assert learning.differing() == {}
    learning.model.compile(keras.optimizers.Adam(1e-3))
    before = learning.exported()
    for _ in range(3):
        learning.step()
    judged = learning.fake.deployed(learning.pixels)
    assert learning.differing() == {}
    after = learning.exported()
    known = dict(trace(after, (quantize_array(learning.x, after.inputs[0].q),)))
    np.testing.assert_array_equal(judged, dequantize_array(known[after.outputs[0]], after.outputs[0].q))
    pairs = list(zip(after.values(), before.values(), strict=True))
    assert any((a.array != b.array).any() for a, b in pairs if a.is_const)
    assert any(a.type != b.type for a, b in pairs)


def small_net(keras: Any) -> Graph:
    layers = keras.layers
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, name="first")(inputs)
    x = layers.ReLU(6.0)(layers.DepthwiseConv2D(3, padding="same", name="second")(x))
    return load(keras.Model(inputs, layers.Dense(3, "softmax", name="last")(layers.Flatten()(x)))).graph


def test_ranges_follow_and_then_stay(keras: Any) -> None:
    graph = small_net(keras)
    learning = Learning(keras, graph, inputs_for(graph, 0))
    learning.model.compile(keras.optimizers.Adam(0.0))
    first = learning.grids.observed()[0]
    begun = learning.grids.ranges[first]
    learning.fake.epoch(1)
    for _ in range(12):
        learning.step()
    low, high = learning.fake.kept()[f"range of {first}"]
    # what calibration left as room, or clipped, is gone: half of the way with each batch
    y = {v.name: a for v, a in trace(learning.grids.graph, (learning.x,))}[first]
    assert (begun.low, begun.high) != (low, high)
    np.testing.assert_allclose([low, high], [y.min(), y.max()], rtol=0.05)
    learning.fake.epoch(2)
    learning.x = learning.x * 3
    learning.step()
    np.testing.assert_array_equal(learning.fake.kept()[f"range of {first}"], [low, high])


def test_a_clamped_element_learns_nothing(keras: Any) -> None:
    """Gradients pass where a range has room, and end where it is clamped."""
    graph = small_net(keras)
    learning = Learning(keras, graph, inputs_for(graph, 0))
    tensor = next(n for n in learning.grids.observed() if "first" in n)
    learning.grids.ranges[tensor] = Range(-1e-6, 1e-6)
    narrow = Fake(learning.grids, settle=0)
    net = Net(learning.grids.graph, arithmetic=narrow)
    values = {v.name: v for v in learning.grids.graph.values() if v.name == learning.raw}
    model = model_class(keras)(net, values, learning.raw, Aim("logits"), None)
    model.compile(keras.optimizers.SGD(1.0))
    before = {v.name: form.array() for v, form in net.forms.items()}
    targets = {"y": np.eye(3, dtype=np.float32)[np.zeros(COUNT, int)], "weights": np.ones(COUNT, np.float32)}
    narrow.epoch(1)
    narrow.refresh(True)
    model.train_on_batch(learning.x.reshape(COUNT, 6, 6, 2), {**targets, "extra": {}})
    moved = {v.name: bool((form.array() != before[v.name]).any()) for v, form in net.forms.items()}
    assert not any(has for n, has in moved.items() if "first" in n)
    assert any(has for n, has in moved.items() if "last" in n)


def test_recipes_that_cannot_be_learned_with(keras: Any) -> None:
    graph = small_net(keras)
    x = inputs_for(graph, 0)
    with pytest.raises(ChipfitError, match="int16") as caught:
        prepared(graph, Samples((x,), (None,)), parse_recipe("int16x8"))
    assert caught.value.code == "Q004"
