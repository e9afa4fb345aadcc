"""Quantized models, in the form with QuantizeLinear and DequantizeLinear (QDQ) and in that with QLinear operators.

Both become real numbers between DEQUANTIZE and QUANTIZE here; :mod:`chipfit.importers.onnx.integers` then makes one
integer operator of each such group. Integers are int8: uint8 is the same 128 lower.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Quant, TensorType, Value
from chipfit.importers.onnx.dense import dense
from chipfit.importers.onnx.node import Function, NodeImporter
from chipfit.importers.onnx.windows import window_of

_SHIFT = 128
_SYMMETRIC = "quantize with one scale for each tensor or channel, 8 bits (or int16 with zero points of 0)"


@dataclasses.dataclass(frozen=True)
class _Form:
    """Stored integers of a tensor: their type here, scale and zero point, and what was subtracted from them."""

    dtype: DType
    quant: Quant
    shift: int


def _form(o: NodeImporter, scale_at: int, zero_at: int, axis: int | None, kind: str | None = None) -> _Form:
    """The quantization in two operands. ``axis``: that of scales for each channel; ``kind``: the type's name."""
    scale = o.array(scale_at, "a scale").reshape(-1).astype(np.float32)
    zero = o.array(zero_at, "a zero point").reshape(-1) if o.has(zero_at) else None
    name = kind or (zero.dtype.name if zero is not None else "uint8")
    if name not in ("int8", "uint8", "int16"):
        raise ChipfitError("O002", f"elements of the type {name} cannot be compiled", _SYMMETRIC)
    shift = _SHIFT if name == "uint8" else 0
    points = np.zeros(scale.size, np.int64) if zero is None else zero.astype(np.int64)
    if points.size != scale.size or not scale.size or not np.all(np.isfinite(scale)) or np.any(scale <= 0):
        raise ChipfitError(
            "O002", f"{scale.size} scales and {points.size} zero points, or scales not above 0", _SYMMETRIC
        )
    dtype = DType.INT16 if name == "int16" else DType.INT8
    zeros = tuple(int(z) - shift for z in points)
    return _Form(dtype, Quant(tuple(float(s) for s in scale), zeros, axis if scale.size > 1 else None), shift)


def _axis(o: NodeImporter, data: Array, scale_at: int) -> int | None:
    """The axis of a constant that scales for each channel lie along, None where there is one scale."""
    count = o.array(scale_at, "a scale").size
    if count == 1:
        return None
    axis = o.axis(int(o.attribute("axis", 1)), data.ndim)
    if data.shape[axis] != count:
        raise ChipfitError("O002", f"{count} scales do not fit the shape {list(data.shape)} along axis {axis}")
    return axis


def _refuse_blocks(o: NodeImporter) -> None:
    if o.attribute("block_size", 0):
        raise o.refuse("block_size", _SYMMETRIC)


def quantize(o: NodeImporter, source: int = 0, scale_at: int = 1, zero_at: int = 2) -> Value:
    _refuse_blocks(o)
    x = o.operands[source]
    if isinstance(x, np.ndarray):
        return _stored(o, x, _form(o, scale_at, zero_at, _axis(o, x, scale_at)))
    return quantized(o, o.value(source), scale_at, zero_at)


def quantized(o: NodeImporter, x: Value, scale_at: int, zero_at: int) -> Value:
    """x as stored integers."""
    form = _form(o, scale_at, zero_at, None)
    return o.emit("quantize", [x], form.dtype, form.quant)


def _stored(o: NodeImporter, data: Array, form: _Form) -> Value:
    """Constant real numbers as a constant of stored integers, halves to even as ONNX rounds."""
    quant = form.quant
    along = [-1 if i == quant.axis else 1 for i in range(data.ndim)] if quant.axis is not None else [1] * data.ndim
    scale, zero = (np.asarray(a).reshape(along or ()) for a in (np.array(quant.scale, np.float32), quant.zero_point))
    stored = np.clip(np.rint(data.astype(np.float32) / scale) + zero, *form.dtype.range)
    return _constant(o, f"{o.base}/stored", stored, form)


def _constant(o: NodeImporter, name: str, stored: Array, form: _Form) -> Value:
    data = np.ascontiguousarray(stored, form.dtype.numpy)
    value = o.model.builder.constant(name, data)
    value.type = TensorType(value.shape, form.dtype, form.quant)
    return value


def dequantize(o: NodeImporter, source: int = 0, scale_at: int = 1, zero_at: int = 2) -> Value | Array:
    """Of a constant: the stored integers, for layers that take them; int32, which is a bias, as real numbers."""
    _refuse_blocks(o)
    x = o.operands[source]
    if isinstance(x, Value):
        return x if x.is_const and x.type.quant is not None else _dequantized(o, x, scale_at, zero_at)
    if x is None:
        raise ChipfitError("F003", "it has no input")
    axis = _axis(o, x, scale_at)
    if x.dtype.kind not in "iu":
        raise ChipfitError("O002", f"its input has elements of the type {x.dtype}", _SYMMETRIC)
    if x.dtype.itemsize > 2:
        scale = o.array(scale_at, "a scale").astype(np.float64).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
        zero = o.array(zero_at, "a zero point") if o.has(zero_at) else np.zeros((), np.int64)
        if np.any(zero):
            raise ChipfitError("O002", "integers of 32 bits have a zero point that is not 0", _SYMMETRIC)
        return (x.astype(np.float64) * scale).astype(np.float32)
    form = _form(o, scale_at, zero_at, axis, x.dtype.name)
    return _constant(o, o.node.input[source] or f"{o.base}/stored", x.astype(np.int64) - form.shift, form)


def _dequantized(o: NodeImporter, x: Value, scale_at: int, zero_at: int) -> Value:
    """A computed tensor, or an input of the model, as real numbers."""
    if x.type.quant is not None and x.dtype is not DType.UINT8:
        form = _form(o, scale_at, zero_at, None, None if o.has(zero_at) else x.dtype.value)
        if form.quant != x.q:
            raise ChipfitError("O002", f"'{x.name}' is read with another scale than it is written with", _SYMMETRIC)
        return o.model.dequantized(x)
    if x.dtype not in (DType.INT8, DType.UINT8, DType.INT16) or o.model.builder.producer(x) is not None:
        raise ChipfitError("O002", f"it reads '{x.name}' ({x.type}), which no QuantizeLinear makes", _SYMMETRIC)
    form = _form(o, scale_at, zero_at, None, x.dtype.value)
    outer = Quant(form.quant.scale, tuple(z + form.shift for z in form.quant.zero_point))
    if x.type.quant not in (None, outer):
        raise ChipfitError("O002", f"'{x.name}' is read with two scales", _SYMMETRIC)
    x.type = TensorType(x.shape, x.dtype, outer)
    return o.model.dequantized(x if not form.shift else o.emit("quantize", [x], DType.INT8, form.quant))


# ---------------------------------------------------------------------------------------------- QLinear operators


def _real(o: NodeImporter, i: int) -> Value:
    """Operand i with the scale and zero point behind it, as real numbers."""
    found = dequantize(o, i, i + 1, i + 2)
    return o.real(found)


def _weights(o: NodeImporter, i: int, axis: int) -> Value:
    """Constant operand i as stored, with a scale for each index along an axis, or one."""
    data = o.array(i, "weights")
    if data.ndim <= axis:
        raise ChipfitError("O002", f"the weights have {data.ndim} axes")
    form = _form(o, i + 1, i + 2, axis, data.dtype.name)
    if any(form.quant.zero_point):
        raise ChipfitError("O002", "the weights have a zero point that is not 0", _SYMMETRIC)
    return _constant(o, o.node.input[i], data.astype(np.int64) - form.shift, form)


def _bias(o: NodeImporter, i: int, x: Value, w: Value) -> Value | None:
    """int32 in units of the products of scales, as real numbers."""
    if not o.has(i):
        return None
    before = o.model.builder.producer(x)
    if before is None:
        raise ChipfitError("O002", f"'{x.name}' is not quantized")
    stored = o.array(i, "the bias").reshape(-1).astype(np.float64)
    scales = np.asarray(w.q.scales(stored.size), np.float64) * before["x"].q.s
    if scales.size != stored.size:
        raise ChipfitError("O002", f"a bias of {stored.size} numbers does not fit '{w.name}' ({w.type})")
    return o.constant("bias", stored * scales)


def q_linear_conv(o: NodeImporter) -> Value:
    x, w = _real(o, 0), _weights(o, 3, 0)
    window, groups = window_of(o, x, w.shape[2:]), int(o.attribute("group", 1))
    y = o.model.channels.conv(x, w, _bias(o, 8, x, w), window, groups, o.base)
    return quantized(o, y, 6, 7)


def q_linear_matmul(o: NodeImporter) -> Value:
    if not o.is_const(3):
        return quantized(o, o.emit("batch_matmul", [_real(o, 0), _real(o, 3)]), 6, 7)
    w = _weights(o, 3, 1)
    if len(w.shape) != 2:
        raise ChipfitError("O002", f"'{w.name}' ({w.type}) is no matrix")
    return quantized(o, dense(o, _real(o, 0), _swapped(w), None), 6, 7)


def q_gemm(o: NodeImporter) -> Value:
    if float(o.attribute("alpha", 1.0)) != 1 or o.attribute("transA", 0):
        raise o.refuse("alpha" if not o.attribute("transA", 0) else "transA", "use alpha=1 and transA=0", 1.0)
    w = _weights(o, 3, 0 if o.attribute("transB", 0) else 1)
    x = _real(o, 0)
    w = w if o.attribute("transB", 0) else _swapped(w)
    return quantized(o, dense(o, x, w, _bias(o, 6, x, w)), 7, 8)


def _swapped(w: Value) -> Value:
    quant = w.q if w.q.axis is None else dataclasses.replace(w.q, axis=1 - w.q.axis)
    data = np.ascontiguousarray(w.array.T)
    return Value(w.name, TensorType(data.shape, w.dtype, quant), data)


def _q_binary(op: str) -> Function:
    return lambda o: quantized(o, o.emit(op, [_real(o, 0), _real(o, 3)]), 6, 7)


def _q_unary(function: Callable[[NodeImporter, Value], Value]) -> Function:
    """Operators with x and y, each with scale and zero point."""
    return lambda o: quantized(o, function(o, _real(o, 0)), 3, 4)


def _q_leaky_relu(o: NodeImporter, x: Value) -> Value:
    return o.emit("leaky_relu", [x], alpha=float(o.attribute("alpha", 0.01)))


def _q_softmax(o: NodeImporter, x: Value) -> Value:
    axis = int(o.attribute("axis", -1))
    if o.axis(axis, len(x.shape)) != len(x.shape) - 1:
        raise o.refuse("axis", "use the last axis")
    return o.emit("softmax", [x])


def _q_global_average(o: NodeImporter, x: Value) -> Value:
    if o.attribute("channels_last", 0):
        return o.emit("mean", [x], axes=tuple(range(1, len(x.shape) - 1)), keep_dims=True)
    return o.model.channels.global_pool("mean", x, o.base)


def _q_average(o: NodeImporter, x: Value) -> Value:
    if o.attribute("channels_last", 0):
        raise o.refuse("channels_last", "use 0")
    window = window_of(o, x, [int(n) for n in o.attribute("kernel_shape", [])])
    ceil_mode, count_pads = bool(o.attribute("ceil_mode", 0)), bool(o.attribute("count_include_pad", 0))
    return o.model.channels.average_pool(x, window, o.base, ceil_mode, count_pads)


def q_linear_concat(o: NodeImporter) -> Value:
    """The scale and zero point of y, then each x with its own."""
    parts = [_real(o, i) for i in range(2, len(o.operands), 3)]
    axis = o.axis(int(o.attribute("axis", 0)), len(parts[0].shape))
    return quantized(o, o.emit("concatenation", parts, axis=axis), 0, 1)


QUANTIZED: dict[str, Function] = {
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
    "QLinearConv": q_linear_conv,
    "QLinearMatMul": q_linear_matmul,
    "QGemm": q_gemm,
    "QLinearAdd": _q_binary("add"),
    "QLinearMul": _q_binary("mul"),
    "QLinearConcat": q_linear_concat,
    "QLinearSigmoid": _q_unary(lambda o, x: o.emit("logistic", [x])),
    "QLinearLeakyRelu": _q_unary(_q_leaky_relu),
    "QLinearSoftmax": _q_unary(_q_softmax),
    "QLinearGlobalAveragePool": _q_unary(_q_global_average),
    "QLinearAveragePool": _q_unary(_q_average),
}
