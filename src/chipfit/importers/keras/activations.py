"""Activation functions, and the layers that are one. What chipfit has no operator of is composed, where it can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.graph import Value
from chipfit.importers._compose import (
    celu,
    exponential,
    hard_sigmoid,
    log_sigmoid,
    mish,
    selu,
    silu,
    softplus,
    softsign,
)
from chipfit.importers.keras.layer import Function, LayerImporter

Activation = Callable[[LayerImporter, Value], Value]

_TABLE = "use relu, relu6, leaky_relu, elu, gelu, hard_silu, sigmoid, silu or tanh instead"


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


def leaky_relu(o: LayerImporter, x: Value, slope: float = 0.2) -> Value:
    return o.emit("leaky_relu", [x], alpha=float(slope))


def clipped_relu(o: LayerImporter, x: Value, highest: float | None, slope: float = 0.0) -> Value:
    """The activation of a ReLU layer: negative numbers times ``slope``, at most ``highest``."""
    if not slope and highest == 6:
        return o.emit("relu6", [x])
    y = leaky_relu(o, x, slope) if slope else o.emit("relu", [x])
    return y if highest is None else o.emit("minimum", [y, o.number("max_value", float(highest))])


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
    "elu": exponential,
    "selu": selu,
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
    "ELU": lambda o: exponential(o, o.real(o.x), float(o.layer.alpha)),
    "Softmax": _softmax_layer,
}
