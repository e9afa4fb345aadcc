"""Every operator in Keras is what its definition says, for several samples at once, and has a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chipfit.graph import Array, DType, Node
from chipfit.model import load
from chipfit.ops import REGISTRY, op_of
from chipfit.ops._base import graph_of, random_input
from chipfit.trainable.forms import names, require_forms
from chipfit.trainable.keras_model import model_class, predictor
from chipfit.trainable.model import Aim, Net
from importers.keras_nets import randomise

SAMPLES = 3


def learning_nodes(name: str) -> list[Node]:
    """The samples of an operator that are all floats, with constants where constants must be, and one input."""
    rng = np.random.default_rng(5)
    found: list[Node] = []
    for node in REGISTRY[name].samples(rng):
        computed = [v for v in (*node.operands, *node.outputs) if not v.is_const]
        is_small = any(v.dtype in (DType.INT8, DType.FLOAT16) for v in node.operands)
        if is_small or node.operands[0].is_const or any(v.dtype is not DType.FLOAT32 for v in computed):
            continue
        for value in node.operands[1:]:
            if value.data is None:
                value.data = random_input(rng, value.type)
        found.append(node)
    return found


MOVES = ("depth_to_space", "expand_dims", "gather", "mirror_pad", "pack", "reshape", "resize_nearest", "reverse_v2",
         "space_to_batch_nd", "space_to_depth", "split", "squeeze", "strided_slice", "tile", "unpack")  # fmt: skip


def positive(name: str, x: Array) -> Array:
    return np.abs(x) + np.float32(0.1) if name in ("log", "sqrt", "rsqrt", "div") else x


@pytest.mark.parametrize("name", sorted({*names(), *MOVES}))
def test_an_operator_means_the_same(keras: Any, name: str) -> None:
    nodes = learning_nodes(name)
    assert nodes
    rng = np.random.default_rng(6)
    for node in nodes:
        graph = graph_of(node)
        require_forms(graph)
        for value in node.operands:
            if value.is_const and name == "div":
                value.data = positive(name, value.array)
        x = positive(name, rng.normal(0.0, 2.0, (SAMPLES, *node.operands[0].shape)).astype(np.float32))
        rest = [v.array for v in node.operands[1:]]
        wanted = [op_of(node).evaluate(node, one, *rest) for one in x]
        for value in node.outputs:
            graph.outputs = [value]
            got = predictor(keras, graph, [value.name])(x.reshape(SAMPLES, *node.operands[0].shape))[value.name]
            index = node.outputs.index(value)
            assert got.shape == (SAMPLES, *value.shape)
            np.testing.assert_allclose(got, [w[index] for w in wanted], rtol=2e-5, atol=2e-5)


def test_every_float_layer_of_a_network_has_a_gradient(keras: Any) -> None:
    """Nothing between the loss and the first weights stops it: all of them move."""
    layers = keras.layers
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, activation="hard_silu", name="a")(inputs)
    x = layers.Conv2DTranspose(3, 2, 2, name="b")(layers.AveragePooling2D(2, padding="same")(x))
    x = layers.Concatenate()([layers.DepthwiseConv2D(3, padding="same", name="c")(x), layers.UpSampling2D(1)(x)])
    x = layers.Multiply()([x, layers.Dense(6, "sigmoid", name="d")(x)])
    x = layers.Dense(3, "softmax", name="e")(layers.Flatten()(layers.ZeroPadding2D(1)(x)))
    graph = load(randomise(keras.Model(inputs, x), 0)).graph
    net = Net(graph)
    logits = {graph.nodes[-1]["x"].name: graph.nodes[-1]["x"]}
    model = model_class(keras)(net, logits, next(iter(logits)), Aim("probabilities"), None)
    model.compile(keras.optimizers.SGD(0.1))
    before = {v.name: form.array() for v, form in net.forms.items()}
    pixels = np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype(np.float32)
    y = {"y": np.eye(3, dtype=np.float32)[[0, 1, 2, 0]], "weights": np.ones(4, np.float32), "extra": {}}
    model.train_on_batch(pixels, y)
    still = [v.name for v, form in net.forms.items() if not (form.array() != before[v.name]).any()]
    assert not still
    assert len(before) == 10
