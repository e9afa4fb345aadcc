"""Activation functions. What chipfit has no operator of is composed of several."""

from __future__ import annotations

import numpy as np

from chipfit.graph import DType, Value
from chipfit.importers._compose import SELU, celu, exponential, hard_sigmoid, mish, silu, softplus, softsign
from chipfit.importers.onnx.node import Function, NodeImporter

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


def _elu(o: NodeImporter) -> Value:
    return exponential(o, o.x, float(o.attribute("alpha", 1.0)))


def _selu(o: NodeImporter) -> Value:
    return exponential(o, o.x, float(o.attribute("alpha", SELU[0])), float(o.attribute("gamma", SELU[1])))


def _celu(o: NodeImporter) -> Value:
    return celu(o, o.x, float(o.attribute("alpha", 1.0)))


def _hard_sigmoid(o: NodeImporter) -> Value:
    return hard_sigmoid(o, o.x, float(o.attribute("alpha", 0.2)), float(o.attribute("beta", 0.5)))


def swish(o: NodeImporter) -> Value:
    return silu(o, o.x, float(o.attribute("alpha", 1.0)))


def gelu(o: NodeImporter) -> Value:
    return o.emit("gelu", [o.x], approximate=o.attribute("approximate", "none") == "tanh")


def fast_gelu(o: NodeImporter) -> Value:
    """The form with tanh, of x plus a bias."""
    x = o.emit("add", [o.x, o.value(1)]) if o.has(1) else o.x
    return o.emit("gelu", [x], approximate=True)


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
    "Elu": _elu,
    "Selu": _selu,
    "Celu": _celu,
    "Sigmoid": plain("logistic"),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": plain("hard_swish"),
    "Swish": swish,
    "QuickGelu": swish,
    "Tanh": plain("tanh"),
    "Softmax": _along_axis("softmax"),
    "LogSoftmax": _along_axis("log_softmax"),
    "Softplus": lambda o: softplus(o, o.x),
    "Softsign": lambda o: softsign(o, o.x),
    "Mish": lambda o: mish(o, o.x),
    "Gelu": gelu,
    "FastGelu": fast_gelu,
    "ThresholdedRelu": thresholded_relu,
    "Shrink": shrink,
    "Clip": clip,
}
