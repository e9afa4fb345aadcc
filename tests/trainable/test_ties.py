"""Numbers beside ties, where float32 rounds otherwise: fake quantization gives the integer graph's bytes all the same.

Each net has so many sums and products, or such scales, that some of them fall beside a tie.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from chipfit.interpret import evaluate
from chipfit.model import load
from chipfit.quantize import Range
from chipfit.quantize.parameters import dequantize_array, quantize_array
from chipfit.trainable.model import Aim
from chipfit.trainable.tune import GraphLearner
from importers.keras_nets import randomise
from trainable.test_fake import Learning

LINE = 256
"""As many elements as an int8 tensor can have different ones."""


def line(keras: Any) -> Any:
    return keras.Input((LINE, 1, 1))


def pairs(keras: Any, merge: str) -> Any:
    """Every pair of elements of two tensors with scales of their own."""
    x = line(keras)
    across = keras.layers.Reshape((1, LINE, 1))(keras.layers.Conv2D(1, 1)(x))
    return keras.Model(x, getattr(keras.layers, merge)()([x, across]))


def layer(keras: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    x = line(keras)
    return keras.Model(x, getattr(keras.layers, name)(*args, **kwargs)(x))


def dense(keras: Any) -> Any:
    x = keras.Input((1,))
    return keras.Model(x, keras.layers.Dense(1024)(x))


def pooled(keras: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    x = keras.Input((12, 12, 64))
    return keras.Model(x, getattr(keras.layers, name)(*args, **kwargs)(x))


def joined(keras: Any) -> Any:
    """One with a range that nothing moves beside one of another range."""
    x = line(keras)
    return keras.Model(x, keras.layers.Concatenate()([keras.layers.Activation("sigmoid")(x), keras.layers.ReLU()(x)]))


NETS: dict[str, Callable[[Any], Any]] = {
    "conv": lambda keras: layer(keras, "Conv2D", 512, 1),
    "depthwise": lambda keras: layer(keras, "DepthwiseConv2D", 1, depth_multiplier=512),
    "transposed": lambda keras: layer(keras, "Conv2DTranspose", 128, 2, 2),
    "dense": dense,
    "add": lambda keras: pairs(keras, "Add"),
    "sub": lambda keras: pairs(keras, "Subtract"),
    "mul": lambda keras: pairs(keras, "Multiply"),
    "average": lambda keras: pooled(keras, "AveragePooling2D", (2, 3), padding="same"),
    "mean": lambda keras: pooled(keras, "GlobalAveragePooling2D"),
    "bilinear": lambda keras: pooled(keras, "UpSampling2D", 3, interpolation="bilinear"),
    "pad": lambda keras: pooled(keras, "ZeroPadding2D", 1),
    "joined": joined,
    "table": lambda keras: layer(keras, "Activation", "hard_silu"),
}


SEEDS = {"dense": 3, "add": 1, "sub": 1, "mul": 41}
"""With which plain float32 errs in layers, additions and products, on any computer: it multiplies alike everywhere. In
means, pools and tables no such numbers were found among 150 nets each."""


def made(keras: Any, name: str, seed: int, count: int = 2) -> Learning:
    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    graph = load(randomise({**NETS, **OTHERS}[name](keras), seed)).graph
    shape = graph.inputs[0].shape
    count = LINE if shape == (1, 1) else count
    x = rng.uniform(-1.0, 1.0, (count, *shape)).astype(np.float32)
    every = np.linspace(x.min(), x.max(), LINE, dtype=np.float32)
    x = np.resize(rng.permutation(every), x.shape) if LINE in x.shape else x

    def change(found: Range) -> Range:
        scale = float(rng.uniform(0.7, 1.4))
        return Range(found.low * scale, found.high * scale)

    return Learning(keras, graph, x, change)


@pytest.mark.parametrize(("name", "seed"), [(name, SEEDS.get(name, 0)) for name in NETS])
def test_what_it_learns_with(keras: Any, name: str, seed: int) -> None:
    learning = made(keras, name, seed)
    learning.fake.epoch(2)  # behind those in which ranges move
    assert learning.differing() == {}
    assert learning.differing(learns=True) == {}


def head(keras: Any, name: str) -> Any:
    x = keras.Input((64,))
    return keras.Model(x, keras.layers.Activation(name)(keras.layers.Dense(10)(x)))


def wide(keras: Any) -> Any:
    """Sums of products beyond 2**24."""
    x = keras.Input((1600,))
    layer = keras.layers.Dense(8)
    model = keras.Model(x, layer(x))
    rng = np.random.default_rng(1)
    layer.kernel.assign(rng.uniform(0.9, 1.0, (1600, 8)))
    return model


OTHERS: dict[str, Callable[[Any], Any]] = {
    "softmax": lambda keras: head(keras, "softmax"),
    "log_softmax": lambda keras: head(keras, "log_softmax"),
    "prelu": lambda keras: layer(keras, "PReLU", shared_axes=[1, 2]),
    "wide": wide,
}


@pytest.mark.parametrize("name", [*NETS, *OTHERS])
def test_what_it_is_judged_by(keras: Any, name: str) -> None:
    """The graph that is exported, sample by sample."""
    learning = made(keras, name, 0, 40 if name in OTHERS else 2)
    if name == "wide":
        learning.x = np.abs(learning.x) * 0.01 + 0.99
    graph = learning.exported()
    quant = graph.outputs[0].q
    found = learning.fake.deployed(learning.pixels)
    for x, y in zip(quantize_array(learning.x, graph.inputs[0].q), found, strict=True):
        np.testing.assert_array_equal(y, dequantize_array(evaluate(graph, [x])[0], quant))


def test_it_is_judged_by_nothing_else(keras: Any) -> None:
    learning = made(keras, "wide", 0)
    tuning: Any = SimpleNamespace(net=learning.net, extra=None)
    learner = GraphLearner(keras, tuning, learning.raw, Aim("numbers"))
    learner.model.predict_on_batch = None
    np.testing.assert_array_equal(learner.predict(learning.pixels), learning.fake.deployed(learning.pixels)[:, 0])


def test_sums_beyond_float32(keras: Any) -> None:
    """That the net of wide sums has them."""
    graph = made(keras, "wide", 0, 1).exported()
    node = graph.nodes[0]
    most = (127 - node["x"].q.zp) * np.abs(node["w"].array.astype(np.int64)).sum(axis=1)
    assert most.max() > 1 << 24
