"""Activation functions, and the layers that are one. What chipfit has no operator of is composed, where it can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.graph import Value
from chipfit.importers.keras.layer import Function, LayerImporter

Activation = Callable[[LayerImporter, Value], Value]

_TABLE = "use relu, relu6, leaky_relu, elu, gelu, hard_silu, sigmoid, silu or tanh instead"

_SELU = (1.6732632423543772, 1.0507009873554805)
"""Alpha and scale. Source: the constants of ``keras.activations.selu``."""


def activate(o: LayerImporter, x: Value, function: Any) -> Value:
    """The activation function of a layer, applied to x: one of Keras, a layer, or one that is traced."""
    if function is None:
        return x
    if isinstance(function, o.model.keras.layers.Layer):
        return o.apply(function, x)
    name = getattr(function, "__name__", type(function).__name__)
    if not getattr(function, "__module__", "").startswith("keras."):
        return o.model.traced(function, [x], {}, name, f"{o.base}/")[0]
    if name not in ACTIVATIONS:
        raise ChipfitError("O002", f"activation '{name}' cannot be compiled", _TABLE)
    return ACTIVATIONS[name](o, x)


def _plain(op: str) -> Activation:
    return lambda o, x: o.emit(op, [x])


def softmax(o: LayerImporter, x: Value, axis: int = -1) -> Value:
    return o.along_last(x, axis, lambda v: o.emit("softmax", [v]))


def log_softmax(o: LayerImporter, x: Value, axis: int = -1) -> Value:
    return o.along_last(x, axis, lambda v: o.emit("log_softmax", [v]))


def silu(o: LayerImporter, x: Value) -> Value:
    return o.emit("mul", [x, o.emit("logistic", [x])])


def hard_sigmoid(o: LayerImporter, x: Value) -> Value:
    """relu6(x + 3) / 6."""
    inner = o.emit("relu6", [o.emit("add", [x, o.number("three", 3.0)])])
    return o.emit("mul", [inner, o.number("sixth", 1 / 6)])


def leaky_relu(o: LayerImporter, x: Value, slope: float = 0.2) -> Value:
    return o.emit("leaky_relu", [x], alpha=float(slope))


def clipped_relu(o: LayerImporter, x: Value, highest: float | None, slope: float = 0.0) -> Value:
    """The activation of a ReLU layer: negative numbers times ``slope``, at most ``highest``."""
    if not slope and highest == 6:
        return o.emit("relu6", [x])
    y = leaky_relu(o, x, slope) if slope else o.emit("relu", [x])
    return y if highest is None else o.emit("minimum", [y, o.number("max_value", float(highest))])


def elu(o: LayerImporter, x: Value, alpha: float = 1.0) -> Value:
    """x < 0 ? alpha * (exp(x) - 1) : x, which is alpha * elu(x) + (1 - alpha) * relu(x)."""
    y = o.emit("elu", [x])
    if alpha == 1:
        return y
    negative = o.emit("mul", [y, o.number("alpha", alpha)])
    positive = o.emit("mul", [o.emit("relu", [x]), o.number("beta", 1 - alpha)])
    return o.emit("add", [negative, positive])


def _selu(o: LayerImporter, x: Value) -> Value:
    alpha, scale = _SELU
    return o.emit("mul", [elu(o, x, alpha), o.number("scale", scale)])


def softplus(o: LayerImporter, x: Value) -> Value:
    """log(1 + exp(x)) as relu(x) + log(1 + exp(-|x|)), in which nothing is large."""
    distance = o.emit("mul", [o.emit("abs", [x]), o.number("minus", -1.0)])
    rest = o.emit("log", [o.emit("add", [o.emit("exp", [distance]), o.number("one", 1.0)])])
    return o.emit("add", [o.emit("relu", [x]), rest])


def mish(o: LayerImporter, x: Value) -> Value:
    return o.emit("mul", [x, o.emit("tanh", [softplus(o, x)])])


def softsign(o: LayerImporter, x: Value) -> Value:
    return o.emit("div", [x, o.emit("add", [o.emit("abs", [x]), o.number("one", 1.0)])])


def log_sigmoid(o: LayerImporter, x: Value) -> Value:
    """-softplus(-x)."""
    minus = o.number("minus", -1.0)
    return o.emit("mul", [softplus(o, o.emit("mul", [x, minus])), minus])


def celu(o: LayerImporter, x: Value, alpha: float = 1.0) -> Value:
    """x < 0 ? alpha * (exp(x / alpha) - 1) : x, which is alpha * elu(x / alpha)."""
    if alpha == 1:
        return o.emit("elu", [x])
    inner = o.emit("elu", [o.emit("mul", [x, o.number("reciprocal", 1 / alpha)])])
    return o.emit("mul", [inner, o.number("alpha", alpha)])


def gelu(o: LayerImporter, x: Value, approximate: bool = False) -> Value:
    return o.emit("gelu", [x], approximate=bool(approximate))


ACTIVATIONS: dict[str, Activation] = {
    "linear": lambda o, x: x,
    "relu": _plain("relu"),
    "relu6": _plain("relu6"),
    "hard_tanh": _plain("relu_n1_to_1"),
    "sigmoid": _plain("logistic"),
    "tanh": _plain("tanh"),
    "hard_silu": _plain("hard_swish"),
    "hard_swish": _plain("hard_swish"),
    "hard_sigmoid": hard_sigmoid,
    "silu": silu,
    "swish": silu,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": _selu,
    "celu": celu,
    "exponential": _plain("exp"),
    "gelu": gelu,
    "softplus": softplus,
    "softsign": softsign,
    "mish": mish,
    "log_sigmoid": log_sigmoid,
    "tanh_shrink": lambda o, x: o.emit("sub", [x, o.emit("tanh", [x])]),
    "softmax": softmax,
    "log_softmax": log_softmax,
}


# ---------------------------------------------------------------------------------------------- layers


def _relu_layer(o: LayerImporter) -> Value:
    if o.layer.threshold:
        raise o.refuse("threshold", "use a ReLU with threshold=0")
    return clipped_relu(o, o.real(o.x), o.layer.max_value, float(o.layer.negative_slope or 0))


def _softmax_layer(o: LayerImporter) -> Value:
    axis = o.layer.axis
    if not isinstance(axis, int):
        raise o.refuse("axis", "use a Softmax over one axis")
    return softmax(o, o.real(o.x), axis)


def _prelu_layer(o: LayerImporter) -> Value:
    return o.emit("prelu", [o.real(o.x), o.weight("alpha", lambda: o.variable("alpha"))])


ACTIVATION_LAYERS: dict[str, Function] = {
    "Activation": lambda o: activate(o, o.real(o.x), o.layer.activation),
    "ReLU": _relu_layer,
    "LeakyReLU": lambda o: leaky_relu(o, o.real(o.x), o.layer.negative_slope),
    "PReLU": _prelu_layer,
    "ELU": lambda o: elu(o, o.real(o.x), float(o.layer.alpha)),
    "Softmax": _softmax_layer,
}
