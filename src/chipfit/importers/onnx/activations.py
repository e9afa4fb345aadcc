"""Activation functions. What chipfit has no operator of is composed of several."""

from __future__ import annotations

import numpy as np

from chipfit.graph import DType, Value
from chipfit.importers.onnx.node import Function, NodeImporter

_SELU = (1.67326319217681884765625, 1.05070102214813232421875)
"""Alpha and gamma. Source: the defaults of ONNX Selu."""

_CLIPS: dict[tuple[float | None, float | None], str] = {
    (0.0, 6.0): "relu6",
    (-1.0, 1.0): "relu_n1_to_1",
    (0.0, None): "relu",
}


def plain(op: str) -> Function:
    """An operator of chipfit on the one input."""
    return lambda o: o.emit(op, [o.x])


def _along_axis(op: str) -> Function:
    """Softmax and its like: along one axis; before opset 13, over all elements from an axis on."""

    def function(o: NodeImporter) -> Value:
        x = o.x
        rank = len(x.shape)
        if o.opset >= 13:
            return o.along_last(x, o.attribute("axis", -1), lambda v: o.emit(op, [v]))
        axis = int(o.attribute("axis", 1))
        axis = o.axis(axis, rank) if axis != rank else rank
        size = int(np.prod(x.shape[axis:], dtype=np.int64))
        return o.reshape(o.emit(op, [o.reshape(x, (x.type.size // size, size))]), x.shape)

    return function


def leaky_relu(o: NodeImporter) -> Value:
    return o.emit("leaky_relu", [o.x], alpha=float(o.attribute("alpha", 0.01)))


def prelu(o: NodeImporter) -> Value:
    """Slopes of each channel have the shape (c, 1, 1); of one axis they lie along the last one, as numpy has it."""
    x, slope = o.x, o.value(1)
    if slope.type.size == 1 and slope.is_const:
        return o.emit("leaky_relu", [x], alpha=float(slope.array.reshape(-1)[0]))
    if not slope.is_const or x.shape[1:2] != (slope.type.size,) or len(x.shape) < 3:
        return o.emit("prelu", [x, slope])
    channels = o.constant("slope", slope.array.reshape(-1))
    return o.model.channels.along_last(x, lambda v: o.emit("prelu", [v, channels]), o.base)


def _elu(o: NodeImporter, x: Value, alpha: float) -> Value:
    """x < 0 ? alpha * (exp(x) - 1) : x, which is alpha * elu(x) + (1 - alpha) * relu(x)."""
    y = o.emit("elu", [x])
    if alpha == 1:
        return y
    negative = o.emit("mul", [y, o.scalar("alpha", alpha)])
    return o.emit("add", [negative, o.emit("mul", [o.emit("relu", [x]), o.scalar("beta", 1 - alpha)])])


def elu(o: NodeImporter) -> Value:
    return _elu(o, o.x, float(o.attribute("alpha", 1.0)))


def selu(o: NodeImporter) -> Value:
    alpha, gamma = float(o.attribute("alpha", _SELU[0])), float(o.attribute("gamma", _SELU[1]))
    return o.emit("mul", [_elu(o, o.x, alpha), o.scalar("gamma", gamma)])


def celu(o: NodeImporter) -> Value:
    """alpha * elu(x / alpha)."""
    alpha = float(o.attribute("alpha", 1.0))
    if alpha == 1:
        return o.emit("elu", [o.x])
    inner = o.emit("elu", [o.emit("mul", [o.x, o.scalar("reciprocal", 1 / alpha)])])
    return o.emit("mul", [inner, o.scalar("alpha", alpha)])


def hard_sigmoid(o: NodeImporter) -> Value:
    """max(0, min(1, alpha * x + beta)), as relu6 of six times as much, divided by 6."""
    alpha, beta = float(o.attribute("alpha", 0.2)), float(o.attribute("beta", 0.5))
    scaled = o.x if abs(6 * alpha - 1) < 1e-6 else o.emit("mul", [o.x, o.scalar("alpha", 6 * alpha)])
    inner = o.emit("relu6", [o.emit("add", [scaled, o.scalar("beta", 6 * beta)])])
    return o.emit("mul", [inner, o.scalar("sixth", 1 / 6)])


def swish(o: NodeImporter) -> Value:
    """x * sigmoid(alpha * x)."""
    alpha = float(o.attribute("alpha", 1.0))
    inner = o.x if alpha == 1 else o.emit("mul", [o.x, o.scalar("alpha", alpha)])
    return o.emit("mul", [o.x, o.emit("logistic", [inner])])


def gelu(o: NodeImporter) -> Value:
    return o.emit("gelu", [o.x], approximate=o.attribute("approximate", "none") == "tanh")


def fast_gelu(o: NodeImporter) -> Value:
    """The form with tanh, of x plus a bias."""
    x = o.emit("add", [o.x, o.value(1)]) if o.has(1) else o.x
    return o.emit("gelu", [x], approximate=True)


def _softplus(o: NodeImporter, x: Value) -> Value:
    """log(1 + exp(x)) as max(x, 0) + log(1 + exp(-|x|)), which does not overflow."""
    small = o.emit("exp", [o.emit("neg", [o.emit("abs", [x])])])
    return o.emit("add", [o.emit("relu", [x]), o.emit("log", [o.emit("add", [small, o.scalar("one", 1.0)])])])


def softplus(o: NodeImporter) -> Value:
    return _softplus(o, o.x)


def mish(o: NodeImporter) -> Value:
    return o.emit("mul", [o.x, o.emit("tanh", [_softplus(o, o.x)])])


def softsign(o: NodeImporter) -> Value:
    """x / (1 + |x|)."""
    return o.emit("div", [o.x, o.emit("add", [o.emit("abs", [o.x]), o.scalar("one", 1.0)])])


def thresholded_relu(o: NodeImporter) -> Value:
    """x where it is above alpha, else 0."""
    above = o.emit("greater", [o.x, o.scalar("alpha", float(o.attribute("alpha", 1.0)))], DType.BOOL)
    return o.emit("mul", [o.x, o.cast(above, o.x.dtype)])


def shrink(o: NodeImporter) -> Value:
    """x - bias above lambd, x + bias below -lambd, else 0: with bias = lambd that is relu(x - l) - relu(-x - l)."""
    bias, lambd = float(o.attribute("bias", 0.0)), float(o.attribute("lambd", 0.5))
    if bias != lambd:
        raise o.refuse("bias", "use bias = lambd (soft shrinkage)", 0.0)
    over = o.emit("relu", [o.emit("sub", [o.x, o.scalar("lambd", lambd)])])
    under = o.emit("relu", [o.emit("sub", [o.emit("neg", [o.x]), o.scalar("lambd", lambd)])])
    return o.emit("sub", [over, under])


def clip(o: NodeImporter) -> Value:
    """Bounds are operands, before opset 11 attributes; either can be left out."""
    bounds: list[float | None] = []
    for i, name in ((1, "min"), (2, "max")):
        found = o.number(i, name) if o.has(i) else o.attribute(name)
        bounds.append(None if found is None or abs(float(found)) > 3e38 else float(found))
    low, high = bounds
    x, whole = o.x, _CLIPS.get((low, high))
    if whole is not None and x.dtype.is_float:
        return o.emit(whole, [x])
    for op, name, bound in (("maximum", "min", low), ("minimum", "max", high)):
        if bound is not None:
            x = o.emit(op, [x, o.constant(name, np.array([bound], x.dtype.numpy))])
    return x


ACTIVATIONS: dict[str, Function] = {
    "Relu": plain("relu"),
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Elu": elu,
    "Selu": selu,
    "Celu": celu,
    "Sigmoid": plain("logistic"),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": plain("hard_swish"),
    "Swish": swish,
    "QuickGelu": swish,
    "Tanh": plain("tanh"),
    "Softmax": _along_axis("softmax"),
    "LogSoftmax": _along_axis("log_softmax"),
    "Softplus": softplus,
    "Softsign": softsign,
    "Mish": mish,
    "Gelu": gelu,
    "FastGelu": fast_gelu,
    "ThresholdedRelu": thresholded_relu,
    "Shrink": shrink,
    "Clip": clip,
}
