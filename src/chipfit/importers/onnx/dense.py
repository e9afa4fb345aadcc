"""Matrix products, and normalizations."""

from __future__ import annotations

import dataclasses

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Quant, Value
from chipfit.importers._compose import over_deviation, standardized
from chipfit.importers.onnx.node import Function, NodeImporter

_NO_TRAINING = "export the model for inference"


def matmul(o: NodeImporter) -> Value:
    """A constant matrix on either side becomes the weights of a dense layer; other products are BATCH_MATMUL."""
    if o.is_const(1) and _rank(o, 1) == 2 and not o.is_const(0):
        return dense(o, o.x, _transposed(o.weights(1)), None)
    if o.is_const(0) and _rank(o, 0) == 2 and not o.is_const(1) and _rank(o, 1) > 1:
        x = o.value(1)
        swapped = (*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2)
        return o.transpose(dense(o, o.transpose(x, swapped), o.weights(0), None), swapped)
    return product(o, o.value(0), o.value(1))


def _rank(o: NodeImporter, i: int) -> int:
    operand = o.operands[i]
    return 0 if operand is None else len(operand.shape)


def product(o: NodeImporter, a: Value, b: Value) -> Value:
    """Matrix products of numpy's matmul: vectors count as matrices of one row or column."""
    first = a if len(a.shape) > 1 else o.reshape(a, (1, *a.shape))
    second = b if len(b.shape) > 1 else o.reshape(b, (*b.shape, 1))
    y = o.emit("batch_matmul", [first, second])
    shape = list(y.shape)
    if len(a.shape) == 1:
        del shape[-2]
    if len(b.shape) == 1:
        del shape[-1]
    return o.reshape(y, shape)


def dense(o: NodeImporter, x: Value, w: Value, bias: Value | None) -> Value:
    """x @ w.T + bias, along the last axis of x. w: (out, in), as it is stored."""
    weights = o.model.channels.weights(w, (0, 1), w.shape, o.base)
    if len(x.shape) == 1:
        return o.reshape(dense(o, o.reshape(x, (1, *x.shape)), w, bias), w.shape[:1])
    if x.shape[-1] != w.shape[1]:
        raise ChipfitError("O002", f"'{x.name}' ({x.type}) does not fit '{w.name}' ({w.type})")
    return o.emit("fully_connected", [x, weights, bias], keep_dims=len(x.shape) > 2)


def _transposed(w: Value) -> Value:
    """Constant weights (in, out) as (out, in), scales with them."""
    quant = w.type.quant
    if quant is not None and quant.axis is not None:
        quant = Quant(quant.scale, quant.zero_point, 1 - quant.axis)
    data = np.ascontiguousarray(w.array.T)
    return Value(w.name, dataclasses.replace(w.type, shape=data.shape, quant=quant), data)


def gemm(o: NodeImporter) -> Value:
    """alpha * A' B' + beta * C, where A' and B' may be transposed."""
    alpha, beta = float(o.attribute("alpha", 1.0)), float(o.attribute("beta", 1.0))
    a = o.x
    if len(a.shape) != 2:
        raise ChipfitError("O002", f"'{a.name}' ({a.type}) is no matrix")
    if o.attribute("transA", 0):
        a = o.transpose(a, (1, 0))
    if not o.is_const(1):
        b = o.transpose(o.value(1), (1, 0)) if o.attribute("transB", 0) else o.value(1)
        return _plus(o, _times(o, product(o, a, b), alpha), beta)
    w = o.weights(1)
    if len(w.shape) != 2:
        raise ChipfitError("O002", f"'{w.name}' ({w.type}) is no matrix")
    w = w if o.attribute("transB", 0) else _transposed(w)
    inner = alpha if w.type.quant is None else 1.0
    if inner != 1:
        w = o.constant("weights", w.array * np.float32(inner))
    bias = _bias(o, w.shape[0], beta) if inner == alpha else None
    y = _times(o, dense(o, a, w, bias), alpha / inner)
    return y if bias is not None else _plus(o, y, beta)


def _bias(o: NodeImporter, out: int, beta: float) -> Value | None:
    """C as a number for each output, None where it is not."""
    if not o.has(2) or not o.is_const(2):
        return None
    c = o.array(2, "C")
    if c.size not in (1, out) or (c.size > 1 and c.shape[-1] != out):
        return None
    return o.constant("bias", np.broadcast_to(c.reshape(-1).astype(np.float64) * beta, (out,)))


def _times(o: NodeImporter, x: Value, factor: float) -> Value:
    return x if factor == 1 else o.emit("mul", [x, o.scalar("alpha", factor)])


def _plus(o: NodeImporter, x: Value, beta: float) -> Value:
    return o.emit("add", [x, _times(o, o.value(2), beta)]) if o.has(2) and beta else x


# ---------------------------------------------------------------------------------------------- normalizations


def batch_normalization(o: NodeImporter) -> list[Value]:
    """A factor and an offset for each channel; they fold into a layer before it, where there is one."""
    if o.attribute("training_mode", 0) or len([n for n in o.node.output if n]) > 1:
        raise o.refuse("training_mode", _NO_TRAINING, 0)
    names = ("scale", "B", "mean", "var")
    gamma, beta, mean, variance = (o.array(i + 1, name).reshape(-1) for i, name in enumerate(names))
    epsilon = float(o.attribute("epsilon", 1e-5))
    return [o.model.channels.batch_norm(o.x, gamma, beta, mean, variance, epsilon, o.base)]


def _parameters(o: NodeImporter, first: int, channels: int) -> tuple[Array, Array | None]:
    """Factors and offsets of each channel."""
    found = [o.array(i, "its parameters").reshape(-1) for i in (first, first + 1) if o.has(i)]
    if not found or any(a.size != channels for a in found):
        raise ChipfitError("O002", f"its parameters are not for {channels} channels")
    return found[0], found[1] if len(found) > 1 else None


def instance_normalization(o: NodeImporter) -> Value:
    x = o.x
    gamma, beta = _parameters(o, 1, x.shape[1])
    epsilon = float(o.attribute("epsilon", 1e-5))

    y = o.model.channels.along_last(x, lambda v: standardized(o, v, tuple(range(1, len(v.shape) - 1)), epsilon), o.base)
    return o.model.channels.scale(y, gamma, beta, o.base)


def layer_normalization(o: NodeImporter) -> list[Value]:
    """Over the axes from ``axis`` on; factors and offsets lie along them."""
    if len([n for n in o.node.output if n]) > 1:
        raise ChipfitError("O002", "its mean or deviation is asked for", _NO_TRAINING)
    x = o.x
    axis = o.axis(int(o.attribute("axis", -1)), len(x.shape))
    y = standardized(o, x, tuple(range(axis, len(x.shape))), float(o.attribute("epsilon", 1e-5)))
    y = o.emit("mul", [y, o.value(1)])
    return [o.emit("add", [y, o.value(2)]) if o.has(2) else y]


def rms_normalization(o: NodeImporter) -> Value:
    """x / sqrt(mean of squares + epsilon) * factors, over the axes from ``axis`` on."""
    x = o.x
    axes = tuple(range(o.axis(int(o.attribute("axis", -1)), len(x.shape)), len(x.shape)))
    return o.emit("mul", [over_deviation(o, x, axes, float(o.attribute("epsilon", 1e-5))), o.value(1)])


def group_normalization(o: NodeImporter) -> Value:
    """Over the pixels and channels of each group; up to opset 20 factors and offsets are of groups, not of channels."""
    x, groups = o.x, int(o.attribute("num_groups", 0))
    n, channels = x.shape[:2]
    if groups < 1 or channels % groups:
        raise o.refuse("num_groups", "use a number that divides the channels")
    inner = channels // groups
    gamma, beta = _parameters(o, 1, channels if o.opset >= 21 else groups)
    if o.opset < 21:
        gamma, beta = np.repeat(gamma, inner), None if beta is None else np.repeat(beta, inner)
    apart = o.reshape(x, (n, groups, x.type.size // (n * groups)))
    y = o.reshape(standardized(o, apart, (2,), float(o.attribute("epsilon", 1e-5))), x.shape)
    return o.model.channels.scale(y, gamma, beta, o.base)


def mean_variance_normalization(o: NodeImporter) -> Value:
    axes = o.axes(o.attribute("axes", [0, 2, 3]), len(o.x.shape))
    return standardized(o, o.x, axes, 1e-18)


def lp_normalization(o: NodeImporter) -> Value:
    """x / (sum of |x| or root of the sum of squares) along one axis."""
    x, p = o.x, int(o.attribute("p", 2))
    axes = (o.axis(int(o.attribute("axis", -1)), len(x.shape)),)
    if p not in (1, 2):
        raise o.refuse("p", "use 1 or 2")
    total = o.emit("sum", [o.emit("abs" if p == 1 else "square", [x])], axes=axes, keep_dims=True)
    return o.emit("div", [x, total if p == 1 else o.emit("sqrt", [total])])


DENSE: dict[str, Function] = {
    "MatMul": matmul,
    "Gemm": gemm,
    "BatchNormalization": batch_normalization,
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
    "RMSNormalization": rms_normalization,
    "SimplifiedLayerNormalization": rms_normalization,
    "GroupNormalization": group_normalization,
    "MeanVarianceNormalization": mean_variance_normalization,
    "LpNormalization": lp_normalization,
}
