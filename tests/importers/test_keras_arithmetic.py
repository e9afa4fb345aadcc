"""Keras layers and functions that need products of computed matrices, roots, quotients and comparisons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.importers import load_graph
from importers.keras_nets import check, keras_or_skip, ops_of, randomise

keras = keras_or_skip()
L: Any = keras.layers
ops: Any = keras.ops

IMAGE, ROWS = (4, 5, 6), (7, 8)


def net(shape: tuple[int, ...], *layers: Any) -> Any:
    return randomise(keras.Sequential([keras.Input(shape), *layers]), 1)


CASES: dict[str, Callable[[], Any]] = {
    "layer_normalization": lambda: net(ROWS, L.LayerNormalization()),
    "layer_normalization_of_two_axes": lambda: net(IMAGE, L.LayerNormalization(axis=(1, 2), epsilon=0.01)),
    "layer_normalization_plain": lambda: net(ROWS, L.LayerNormalization(center=False, scale=False)),
    "rms_normalization": lambda: net(ROWS, L.RMSNormalization()),
    "unit_normalization": lambda: net(ROWS, L.UnitNormalization()),
    "group_normalization": lambda: net(IMAGE, L.GroupNormalization(3)),
    "group_normalization_of_axis_1": lambda: net(IMAGE, L.GroupNormalization(2, axis=1, scale=False)),
    "instance_normalization": lambda: net(IMAGE, L.GroupNormalization(-1)),
    "einsum_dense": lambda: net(ROWS, L.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d", activation="relu")),
    "einsum_dense_of_heads": lambda: net(ROWS, L.EinsumDense("abc,cde->abde", (None, 3, 2), bias_axes="de")),
    **{
        name: lambda name=name: net(ROWS, L.Activation(name))
        for name in ("gelu", "softplus", "softsign", "mish", "exponential", "celu", "log_sigmoid", "tanh_shrink")
    },
}


@pytest.mark.parametrize("name", CASES)
def test_layer(name: str) -> None:
    if name == "layer_normalization_of_two_axes" and keras.backend.backend() == "torch":
        pytest.skip("Keras on torch normalizes the last axes alone")
    check(keras, CASES[name](), high=3.0)


def attention_net(**settings: Any) -> Any:
    query, value = keras.Input(ROWS, name="query"), keras.Input((5, 6), name="value")
    outputs = L.MultiHeadAttention(2, 4, **settings)(query, value)
    return randomise(keras.Model([query, value], outputs), 2)


@pytest.mark.parametrize("settings", [{}, {"value_dim": 3, "output_shape": 5}, {"use_bias": False}, {"dropout": 0.1}])
def test_multi_head_attention(settings: dict[str, Any]) -> None:
    graph = check(keras, attention_net(**settings))
    assert ops_of(graph).count("batch_matmul") == 2


def test_attention_to_itself_with_its_scores() -> None:
    x = keras.Input(ROWS)
    outputs = L.MultiHeadAttention(2, 4)(x, x, return_attention_scores=True)
    check(keras, randomise(keras.Model(x, list(outputs)), 3))


@pytest.mark.parametrize("scale", [False, True])
def test_dot_product_attention(scale: bool) -> None:
    query, value, key = (keras.Input((5, 6), name=name) for name in ("query", "value", "key"))
    check(keras, randomise(keras.Model([query, value, key], L.Attention(use_scale=scale)([query, value, key])), 4))


def test_transformer() -> None:
    """A block with both of its normalizations, attention and gelu, between a projection and a classifier."""
    x = inputs = keras.Input(ROWS)
    x = L.Dense(12)(x)
    y = L.LayerNormalization()(x)
    x = L.Add()([x, L.MultiHeadAttention(3, 4)(y, y)])
    y = L.Dense(12)(L.Dense(24, activation="gelu")(L.LayerNormalization()(x)))
    x = L.GlobalAveragePooling1D()(L.Add()([x, y]))
    check(keras, randomise(keras.Model(inputs, L.Dense(4, activation="softmax")(x)), 5))


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "roots": lambda x: ops.sqrt(ops.abs(x) + 0.5) + ops.rsqrt(ops.square(x) + 0.25),
    "exp_log": lambda x: ops.log(ops.exp(x) + 1.5),
    "waves": lambda x: ops.sin(x) * ops.cos(x),
    "whole": lambda x: ops.floor(x) + 2.0 * ops.ceil(x) + 4.0 * ops.sign(x),
    "divide": lambda x: x / (ops.abs(x) + 1.0) + 1.0 / (ops.square(x) + 0.5),
    "reciprocal": lambda x: ops.reciprocal(ops.abs(x) + 0.5),
    "power": lambda x: ops.power(x, 3.0) + (ops.abs(x) + 0.1) ** 0.7,
    "gelus": lambda x: ops.gelu(x) + ops.gelu(x, approximate=False),
    "activations": lambda x: ops.softplus(x) + ops.softsign(x) + ops.log_sigmoid(x) + ops.celu(x, 0.5),
    "comparisons": lambda x: ops.where(ops.logical_and(x > -1.0, ops.logical_not(x >= 1.0)), x, 0.5 * x),
    "equality": lambda x: ops.cast(ops.logical_or(ops.equal(x, x), ops.less(x, 0.0)), "float32") + x,
    "reductions": lambda x: ops.min(x, axis=1) + ops.var(x, axis=1),
    "product": lambda x: ops.prod(x, axis=2, keepdims=True),
    "cumsum": lambda x: ops.cumsum(x, axis=1),
    "matmul": lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1))),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    x = keras.Input(ROWS)
    check(keras, keras.Model(x, FUNCTIONS[name](x)), high=2.0)


def test_indices_of_extrema() -> None:
    x = keras.Input(ROWS)
    check(keras, keras.Model(x, [ops.argmax(x, axis=2), ops.argmin(x, axis=1)]), seed=3)


def test_masks_are_refused() -> None:
    x = keras.Input(ROWS)
    model = keras.Model(x, L.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    with pytest.raises(ChipfitError, match="use_causal_mask"):
        load_graph(model)


def test_equations_that_are_no_dense_layer_are_refused() -> None:
    model = net(ROWS, L.EinsumDense("abc,bd->acd", (8, 5)))
    with pytest.raises(ChipfitError, match="equation='abc,bd->acd'"):
        load_graph(model)


def test_values_are_near_for_small_variance() -> None:
    """Where epsilon counts."""
    model = net(ROWS, L.LayerNormalization(epsilon=0.1))
    graph = load_graph(model)
    x = np.full((1, *ROWS), 0.5, np.float32) + np.linspace(0, 1e-3, 56, dtype=np.float32).reshape(1, *ROWS)
    from chipfit.interpret import evaluate

    wanted = np.asarray(keras.ops.convert_to_numpy(model(x)))
    np.testing.assert_allclose(evaluate(graph, [x])[0], wanted, rtol=0, atol=1e-4)
