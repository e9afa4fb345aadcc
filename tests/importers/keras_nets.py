"""Keras models for tests: weights that leave nothing at its default, nets made from a seed, and the comparison."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph
from chipfit.importers import load_graph
from chipfit.importers.keras.framework import import_keras
from chipfit.interpret import evaluate
from chipfit.passes import PIPELINE

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

TOLERANCE = 1e-4
"""Relative to the greatest output: the most by which float32 sums in another order may differ."""


def keras_or_skip() -> Any:
    """Keras; the tests of the module are skipped where it is missing."""
    try:
        return import_keras()
    except ChipfitError as error:
        pytest.skip(error.message, allow_module_level=True)


def randomise(model: Any, seed: int) -> Any:
    """The model with other biases and statistics: fresh ones are 0 and 1, with which many mistakes change nothing."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        shape = tuple(variable.shape)
        if variable.name in ("moving_variance", "gamma", "variance"):
            variable.assign(rng.uniform(0.5, 1.5, shape))
        elif variable.name in ("bias", "beta", "moving_mean", "mean", "alpha"):
            variable.assign(rng.normal(0, 0.3, shape))
    return model


def samples_for(graph: Graph, seed: int, high: float = 1.0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [
        rng.uniform(-high, high, v.shape).astype(np.float32)
        if v.dtype.is_float
        else rng.integers(0, 5, v.shape).astype(v.dtype.numpy)
        for v in graph.inputs
    ]


def outputs_of(keras: Any, model: Any, inputs: Any) -> list[Array]:
    found = model(inputs, training=False)
    return [np.asarray(keras.ops.convert_to_numpy(y)) for y in keras.tree.flatten(found)]


def check(keras: Any, model: Any, seed: int = 0, high: float = 1.0, source: Any = None) -> Graph:
    """Import a model (or ``source``, where the model was saved), hold it against Keras; the graph after all passes."""
    graph = load_graph(model if source is None else source)
    inputs = samples_for(graph, seed, high)
    struct: Any = inputs[0] if len(inputs) == 1 else inputs
    if isinstance(getattr(model, "_inputs_struct", None), dict):
        struct = {v.name: x for v, x in zip(graph.inputs, inputs, strict=True)}
    wanted = outputs_of(keras, model, struct)
    compare(evaluate(graph, inputs), wanted)
    PIPELINE.run(graph)
    compare(evaluate(graph, inputs), wanted)
    return graph


def compare(found: Any, wanted: list[Array]) -> None:
    assert len(found) == len(wanted)
    for y, expected in zip(found, wanted, strict=True):
        assert y.shape == expected.shape
        largest = float(np.abs(expected).max())
        assert largest > 0, "a model of zeros shows nothing"
        np.testing.assert_allclose(y, expected, rtol=0, atol=TOLERANCE * largest)


def ops_of(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


# ---------------------------------------------------------------------------------------------- nets from a seed

_ACTIVATIONS = ("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "silu", "hard_silu", "hard_sigmoid", "tanh")


def random_net(keras: Any, seed: int) -> Any:
    """A small functional net of five to nine blocks: an image, a sequence or a vector at its beginning."""
    rng = np.random.default_rng(seed)
    shape = ((9, 11, 3), (17, 5), (13,))[seed % 3]
    inputs = keras.Input(shape)
    x = inputs
    for _ in range(int(rng.integers(4, 9))):
        x = _block(keras, rng, x)
    if len(x.shape) > 2:
        layers = keras.layers
        x = layers.Flatten()(x) if rng.integers(2) else getattr(layers, f"GlobalAveragePooling{len(x.shape) - 2}D")()(x)
    outputs = keras.layers.Dense(4, activation="softmax" if rng.integers(2) else None)(x)
    return randomise(keras.Model(inputs, outputs), seed)


def _block(keras: Any, rng: np.random.Generator, x: Any) -> Any:
    layers, axes = keras.layers, len(x.shape) - 2
    activation = str(rng.choice(_ACTIVATIONS))
    choices = [
        lambda: layers.Activation(activation)(x),
        lambda: layers.BatchNormalization()(x),
        lambda: layers.Dropout(0.3)(x),
        lambda: layers.Add()([x, layers.Dense(x.shape[-1], activation=activation)(x)]),
        lambda: layers.Concatenate()([x, layers.Dense(3)(x)]),
        lambda: layers.BatchNormalization()(layers.Dense(6, use_bias=bool(rng.integers(2)))(x)),
        lambda: keras.ops.multiply(x, keras.ops.sigmoid(layers.Dense(x.shape[-1])(x))),
    ]
    if axes:
        choices = [*choices, *_windows(keras, rng, x, axes, activation)]
    return choices[int(rng.integers(len(choices)))]()


def _windows(keras: Any, rng: np.random.Generator, x: Any, axes: int, activation: str) -> list[Any]:
    layers = keras.layers
    size, step = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    padding = "same" if min(x.shape[1:-1]) < 4 else str(rng.choice(("same", "valid")))

    def make(name: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(layers, f"{name}{axes}D")(*args, **kwargs)

    return [
        lambda: make("Conv", 6, size, step, padding, activation=activation)(x),
        lambda: layers.BatchNormalization()(make("Conv", 5, size, step, padding, use_bias=False)(x)),
        lambda: make("DepthwiseConv", size, step, padding, depth_multiplier=2, activation=activation)(x),
        lambda: layers.BatchNormalization()(make("DepthwiseConv", size, padding="same")(x)),
        lambda: make("SeparableConv", 7, size, step, padding)(x),
        lambda: make("MaxPooling", size, step, padding)(x),
        lambda: make("AveragePooling", size, step, padding)(x),
        lambda: make("Conv", 4, 3, padding="valid")(make("ZeroPadding", 2)(x)),
        lambda: make("UpSampling", 2)(make("MaxPooling", 2, padding="same")(x)),
    ]
