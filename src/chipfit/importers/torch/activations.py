"""Activation functions. What chipfit has no operator of is composed, where it can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Value
from chipfit.importers._compose import celu, exponential, hard_sigmoid, log_sigmoid, mish, selu, silu, softplus, times
from chipfit.importers.torch.call import CallImporter, Function
from chipfit.importers.torch.elementwise import promoted, selected


def _plain(op: str) -> Function:
    return lambda o: o.emit(op, [o.real])


def _composed(make: Callable[[CallImporter, Value], Value]) -> Function:
    return lambda o: make(o, o.real)


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


def _gelu(o: CallImporter) -> Value:
    return o.emit("gelu", [o.real], approximate=o.get("approximate", "none") == "tanh")


def _elu(o: CallImporter) -> Value:
    return exponential(o, o.real, float(o.get("alpha", 1)), float(o.get("scale", 1)), float(o.get("input_scale", 1)))


def _prelu(o: CallImporter) -> Value:
    """One slope, or one for each channel (axis 1)."""
    x, slopes = o.real, o.array("weight")
    assert slopes is not None
    alpha = o.constant("weight", slopes.reshape(-1))
    if slopes.size == 1 or len(x.shape) < 2:
        return o.emit("prelu", [x, alpha])
    return o.channels.along_last(x, lambda v: o.emit("prelu", [v, alpha]), o.base)


def _softplus(o: CallImporter) -> Value:
    """Linear above a threshold in torch, where the difference is below what float32 holds."""
    beta, threshold = float(o.get("beta", 1)), float(o.get("threshold", 20))
    if threshold < 15:
        raise ChipfitError("O002", f"threshold={threshold:g} cannot be compiled", "use threshold=20, the default")
    return times(o, softplus(o, times(o, o.real, "beta", beta)), "reciprocal", 1 / beta)


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
    "hardsigmoid": _composed(hard_sigmoid),
    "silu": _composed(silu),
    "gelu": _gelu,
    "hardtanh": lambda o: _clipped(o, o.args["min_val"], o.args["max_val"]),
    "clamp": lambda o: _clipped(o, o.args["min"], o.args["max"]),
    "clamp_min": lambda o: _clipped(o, o.args["min"], None),
    "clamp_max": lambda o: _clipped(o, None, o.args["max"]),
    "leaky_relu": lambda o: o.emit("leaky_relu", [o.real], alpha=float(o.get("negative_slope", 0.01))),
    "prelu": _prelu,
    "_prelu_kernel": _prelu,
    "elu": _elu,
    "celu": lambda o: celu(o, o.real, float(o.get("alpha", 1))),
    "selu": _composed(selu),
    "softplus": _softplus,
    "mish": _composed(mish),
    "log_sigmoid": _composed(log_sigmoid),
    "threshold": _threshold,
    **dict.fromkeys(("softmax", "_softmax"), _softmax("softmax")),
    **dict.fromkeys(("log_softmax", "_log_softmax"), _softmax("log_softmax")),
}
