"""Functions that chipfit has no operator of, made of several that are quantized well: what all doors share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from chipfit.graph import Array, DType, Value

SELU = (1.6732632423543772, 1.0507009873554805)
"""Alpha and scale. Source: Klambauer et al., Self-Normalizing Neural Networks, 2017; the frameworks' defaults."""


class Maker(Protocol):
    """A layer, node or call of a foreign model while it is imported; it names what is made for it."""

    def emit(self, op: str, inputs: Sequence[Value | None], dtype: DType | None = None, **attributes: Any) -> Value: ...

    def constant(self, part: str, data: Array) -> Value: ...


def _number(o: Maker, part: str, number: float) -> Value:
    return o.constant(part, np.array([number], np.float32))


def times(o: Maker, x: Value, part: str, factor: float) -> Value:
    """x * factor; ``part`` names the constant."""
    return x if factor == 1 else o.emit("mul", [x, _number(o, part, factor)])


# ---------------------------------------------------------------------------------------------- activations


def exponential(o: Maker, x: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Value:
    """scale * (x > 0 ? x : alpha * (exp(input_scale * x) - 1)).

    elu(v) is v above 0, so that the sides are weighed apart where their factors differ.
    """
    y = o.emit("elu", [times(o, x, "input_scale", input_scale)])
    below, above = alpha * scale, scale / input_scale
    if below == above:
        return times(o, y, "scale", below)
    positive = times(o, o.emit("relu", [x]), "difference", scale - below * input_scale)
    return o.emit("add", [times(o, y, "alpha", below), positive])


def selu(o: Maker, x: Value) -> Value:
    return exponential(o, x, *SELU)


def celu(o: Maker, x: Value, alpha: float = 1.0) -> Value:
    """x > 0 ? x : alpha * (exp(x / alpha) - 1)."""
    return exponential(o, x, alpha, 1.0, 1 / alpha)


def hard_sigmoid(o: Maker, x: Value, alpha: float = 1 / 6, beta: float = 0.5) -> Value:
    """max(0, min(1, alpha * x + beta)), as relu6 of six times as much, divided by 6."""
    sixfold = x if abs(6 * alpha - 1) < 1e-6 else times(o, x, "alpha", 6 * alpha)
    inner = o.emit("relu6", [o.emit("add", [sixfold, _number(o, "beta", 6 * beta)])])
    return times(o, inner, "sixth", 1 / 6)


def silu(o: Maker, x: Value, alpha: float = 1.0) -> Value:
    """x * sigmoid(alpha * x)."""
    return o.emit("mul", [x, o.emit("logistic", [times(o, x, "alpha", alpha)])])


def softplus(o: Maker, x: Value) -> Value:
    """log(1 + exp(x)) as relu(x) + log(1 + exp(-|x|)), in which nothing overflows."""
    small = o.emit("exp", [o.emit("neg", [o.emit("abs", [x])])])
    rest = o.emit("log", [o.emit("add", [small, _number(o, "one", 1.0)])])
    return o.emit("add", [o.emit("relu", [x]), rest])


def mish(o: Maker, x: Value) -> Value:
    return o.emit("mul", [x, o.emit("tanh", [softplus(o, x)])])


def log_sigmoid(o: Maker, x: Value) -> Value:
    """-softplus(-x)."""
    return o.emit("neg", [softplus(o, o.emit("neg", [x]))])


def softsign(o: Maker, x: Value) -> Value:
    """x / (1 + |x|)."""
    return o.emit("div", [x, o.emit("add", [o.emit("abs", [x]), _number(o, "one", 1.0)])])


# ---------------------------------------------------------------------------------------------- normalizations


def over_deviation(o: Maker, x: Value, axes: Sequence[int], epsilon: float) -> Value:
    """x / sqrt(mean of x squared along the axes + epsilon)."""
    square = o.emit("mean", [o.emit("mul", [x, x])], axes=tuple(axes), keep_dims=True)
    return o.emit("mul", [x, o.emit("rsqrt", [o.emit("add", [square, _number(o, "epsilon", epsilon)])])])


def standardized(o: Maker, x: Value, axes: Sequence[int], epsilon: float) -> Value:
    """(x - mean) / sqrt(variance + epsilon) along the axes."""
    mean = o.emit("mean", [x], axes=tuple(axes), keep_dims=True)
    return over_deviation(o, o.emit("sub", [x, mean]), axes, epsilon)
