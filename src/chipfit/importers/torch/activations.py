"""Activation functions. What chipfit has no operator of is composed, where it can be."""

from __future__ import annotations

from typing import Any

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Value
from chipfit.importers.torch.call import CallImporter, Function
from chipfit.importers.torch.elementwise import promoted, selected

_SELU = (1.6732632423543772, 1.0507009873554805)
"""Alpha and scale. Source: documentation of ``torch.nn.SELU``."""


def _plain(op: str) -> Function:
    return lambda o: o.emit(op, [o.real])


def _clipped(o: CallImporter, low: Any, high: Any) -> Value:
    """Bounds are numbers, tensors, or None for no bound."""
    named = {(0, 6): "relu6", (-1, 1): "relu_n1_to_1", (0, None): "relu"}
    is_plain = all(bound is None or isinstance(bound, (int, float)) for bound in (low, high))
    if is_plain and o.kind.is_float and (low, high) in named:
        return o.emit(named[low, high], [o.real])
    y = o.cast(o.x, o.kind)
    for op, bound in (("maximum", low), ("minimum", high)):
        if bound is not None:
            y = o.emit(op, promoted(o, y, bound))
    return y


def _hardsigmoid(o: CallImporter) -> Value:
    """relu6(x + 3) / 6."""
    inner = o.emit("relu6", [o.emit("add", [o.real, o.real_number("three", 3)])])
    return o.emit("mul", [inner, o.real_number("sixth", 1 / 6)])


def _silu(o: CallImporter) -> Value:
    return o.emit("mul", [o.real, o.emit("logistic", [o.real])])


def _gelu(o: CallImporter) -> Value:
    return o.emit("gelu", [o.real], approximate=o.get("approximate", "none") == "tanh")


def _scaled(o: CallImporter, x: Value, part: str, factor: float) -> Value:
    return x if factor == 1 else o.emit("mul", [x, o.real_number(part, factor)])


def _exponential(o: CallImporter, alpha: float, scale: float, input_scale: float = 1.0) -> Value:
    """scale * (x > 0 ? x : alpha * (exp(input_scale * x) - 1)).

    elu(v) is v above 0, so that the sides are weighed apart where their factors differ.
    """
    x = o.real
    y = o.emit("elu", [_scaled(o, x, "input_scale", input_scale)])
    below, above = alpha * scale, scale / input_scale
    if below == above:
        return _scaled(o, y, "scale", below)
    positive = _scaled(o, o.emit("relu", [x]), "difference", scale - below * input_scale)
    return o.emit("add", [_scaled(o, y, "alpha", below), positive])


def _elu(o: CallImporter) -> Value:
    return _exponential(o, float(o.get("alpha", 1)), float(o.get("scale", 1)), float(o.get("input_scale", 1)))


def _celu(o: CallImporter) -> Value:
    alpha = float(o.get("alpha", 1))
    return _exponential(o, alpha, 1.0, 1 / alpha)


def _prelu(o: CallImporter) -> Value:
    """One slope, or one for each channel (axis 1)."""
    x, slopes = o.real, o.array("weight")
    assert slopes is not None
    alpha = o.constant("weight", slopes.reshape(-1))
    if slopes.size == 1 or len(x.shape) < 2:
        return o.emit("prelu", [x, alpha])
    return o.channels.along_last(x, lambda v: o.emit("prelu", [v, alpha]), o.base)


def _softened(o: CallImporter, x: Value) -> Value:
    """log(1 + exp(x)) = relu(x) + log(1 + exp(-|x|)), whose exponential does not overflow."""
    small = o.emit("exp", [o.emit("neg", [o.emit("abs", [x])])])
    return o.emit("add", [o.emit("relu", [x]), o.emit("log", [o.emit("add", [small, o.real_number("one", 1)])])])


def _softplus(o: CallImporter) -> Value:
    """Linear above a threshold in torch, where the difference is below what float32 holds."""
    beta, threshold = float(o.get("beta", 1)), float(o.get("threshold", 20))
    if threshold < 15:
        raise ChipfitError("O002", f"threshold={threshold:g} cannot be compiled", "use threshold=20, the default")
    return _scaled(o, _softened(o, _scaled(o, o.real, "beta", beta)), "reciprocal", 1 / beta)


def _mish(o: CallImporter) -> Value:
    return o.emit("mul", [o.real, o.emit("tanh", [_softened(o, o.real)])])


def _log_sigmoid(o: CallImporter) -> Value:
    return o.emit("neg", [_softened(o, o.emit("neg", [o.real]))])


def _threshold(o: CallImporter) -> Value:
    limit, value = o.args["threshold"], o.args["value"]
    if limit == 0 and value == 0:
        return o.emit("relu", [o.real])
    x = o.real
    return selected(o, o.emit("greater", promoted(o, x, float(limit)), DType.BOOL), x, float(value))


def _softmax(op: str) -> Function:
    return lambda o: o.along_last(o.real, int(o.args["dim"]), lambda v: o.emit(op, [v]))


ACTIVATIONS: dict[str, Function] = {
    "relu": _plain("relu"),
    "relu6": _plain("relu6"),
    "sigmoid": _plain("logistic"),
    "tanh": _plain("tanh"),
    "hardswish": _plain("hard_swish"),
    "hardsigmoid": _hardsigmoid,
    "silu": _silu,
    "gelu": _gelu,
    "hardtanh": lambda o: _clipped(o, o.args["min_val"], o.args["max_val"]),
    "clamp": lambda o: _clipped(o, o.args["min"], o.args["max"]),
    "clamp_min": lambda o: _clipped(o, o.args["min"], None),
    "clamp_max": lambda o: _clipped(o, None, o.args["max"]),
    "leaky_relu": lambda o: o.emit("leaky_relu", [o.real], alpha=float(o.get("negative_slope", 0.01))),
    "prelu": _prelu,
    "_prelu_kernel": _prelu,
    "elu": _elu,
    "celu": _celu,
    "selu": lambda o: _exponential(o, *_SELU),
    "softplus": _softplus,
    "mish": _mish,
    "log_sigmoid": _log_sigmoid,
    "threshold": _threshold,
    **dict.fromkeys(("softmax", "_softmax"), _softmax("softmax")),
    **dict.fromkeys(("log_softmax", "_log_softmax"), _softmax("log_softmax")),
}
