"""One layer of a sweep: its weights are rounded anew, then its bias is found.

A layer has a float side (``real``, what the model means) and a quantized side (``node``, what is written to the file).
Activations of the quantized side are stored integers of 8 or 16 bits, or real numbers where only weights are
quantized. Both sides come with many samples at once: (samples, *shape of the tensor).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chipfit.graph import Array, Node, Value
from chipfit.ops._activation import activation_range, activation_range_float
from chipfit.quantize import adaround, reconstruct
from chipfit.quantize.apply import set_bias, set_weights
from chipfit.quantize.correct import corrected_bias, matched_bias
from chipfit.quantize.layers import Layer, activated, draw
from chipfit.quantize.parameters import accumulator_scales, dequantize_array
from chipfit.quantize.recipe import Recipe
from chipfit.quantize.reconstruct import MOST_COLUMNS

Rule = Callable[[Layer, Node, Array, Array], None]
"""Sets the weights of a quantized node. It is given the float layer, the node, what the node reads, as it is stored,
and the float sums with bias, (..., channels)."""


def fit_layer(
    real: Node, node: Node, float_x: Array, stored_x: Array, recipe: Recipe, rule: Rule | None = None
) -> tuple[Array, Array]:
    """Fit weights and bias of ``node`` in place; returns the outputs of both sides, stored as the output's type is.

    ``rule``: what the weights become; None: what the recipe says.
    """
    y = node["y"]
    layer = Layer(real)
    shape = (len(float_x), *y.shape)
    float_sums = layer.sums(joined(float_x), real["w"].array) + layer.bias
    x = joined(stored_x)
    if rule is None:
        _fit_weights(layer, node, x, float_sums, recipe)
    else:
        rule(layer, node, x, float_sums)
    unit = accumulator_scales(node, layer.channels)
    sums = layer.sums(_centred(x, node["x"]), node["w"].array.astype(np.float32))
    sums *= unit.astype(np.float32)
    _fit_bias(layer, node, float_sums, sums, recipe)
    b = node["b"]
    sums += b.array if b.dtype.is_float else (b.array * unit).astype(np.float32)
    stored = activated(real, sums) if y.dtype.is_float else _requantized(sums, y, node.op.attributes()["act"])
    return activated(real, float_sums).reshape(shape), stored.reshape(shape)


def _fit_weights(layer: Layer, node: Node, x: Array, float_sums: Array, recipe: Recipe) -> None:
    """``float_sums``: (..., channels), with the float bias."""
    w = node["w"]
    rows = layer.rows_of(layer.node["w"].array)
    if w.type.quant is None or rows.shape[2] > MOST_COLUMNS or rows.shape[2] < 2:
        return
    flat = float_sums.reshape(-1, layer.channels)
    zero = zero_of(node["x"])
    scales = np.array(w.q.scales(layer.channels)).reshape(rows.shape[:2])
    if recipe.has("reconstruct", node.name):
        columns = layer.sampled_columns(x, draw(len(flat), reconstruct.POSITIONS), zero)
        set_weights(node, layer.weights_of(reconstruct.reconstruct(rows, scales, columns)))
    if recipe.has("adaround", node.name):
        drawn = draw(len(flat), adaround.POSITIONS)
        columns = (layer.sampled_columns(x, drawn, zero) - np.float32(zero)) * np.float32(_step(node["x"]))
        target = flat[drawn].reshape(len(drawn), *rows.shape[:2]).transpose(1, 0, 2)
        sums = adaround.Sums(columns, target, _bounds(node))
        found = adaround.adaround(rows, scales, layer.rows_of(w.array), sums)
        set_weights(node, layer.weights_of(found))


def _fit_bias(layer: Layer, node: Node, float_sums: Array, sums: Array, recipe: Recipe) -> None:
    """``float_sums``: with the float bias; ``sums``: without any. Both (..., channels), real numbers."""
    b = layer.bias.astype(np.float64)
    if recipe.has("bias", node.name):
        b = corrected_bias(float_sums, sums)
    if recipe.has("match", node.name):
        b = matched_bias(b, float_sums, sums, activation_range_float(node.op.attributes()["act"]), _ends(node["y"]))
    set_bias(node, b)


def joined(x: Array) -> Array:
    """(samples, 1, ...) as (samples, ...): images one after the other."""
    return x.reshape(-1, *x.shape[2:]) if x.ndim > 2 else x


def zero_of(x: Value) -> int:
    """What stands for 0."""
    return 0 if x.dtype.is_float else x.q.zp


def _centred(stored: Array, x: Value) -> Array:
    return stored if x.dtype.is_float else stored.astype(np.float32) - np.float32(x.q.zp)


def _step(x: Value) -> float:
    """The real number that an integer more stands for."""
    return 1.0 if x.dtype.is_float else x.q.s


def _bounds(node: Node) -> tuple[float, float]:
    """What the activation and the output's integers leave of real numbers."""
    low, high = activation_range_float(node.op.attributes()["act"])
    least, most = _ends(node["y"])
    return max(low, float(least)), min(high, float(most))


def _ends(y: Value) -> Array:
    """Least and greatest real number that the output can hold: (2,)."""
    if y.dtype.is_float:
        return np.array(activation_range_float("none"))
    return dequantize_array(np.array(y.dtype.range), y.q)


def _requantized(sums: Array, y: Value, act: str) -> Array:
    """Sums with bias, real numbers, as the output's integers; halves may round otherwise than in integer kernels."""
    low, high = activation_range(act, y.dtype, y.q)  # type: ignore[arg-type] - one of the activations
    scaled = np.rint(sums * np.float32(1.0 / y.q.s))
    scaled += np.float32(y.q.zp)
    return np.clip(scaled, low, high, out=scaled).astype(y.dtype.numpy)
