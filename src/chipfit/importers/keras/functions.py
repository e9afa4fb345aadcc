"""The table of functions: the name of an operation of ``keras.ops`` -> the function that makes our nodes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Value
from chipfit.importers._compose import celu, exponential, hard_sigmoid, log_sigmoid, mish, silu, softplus, softsign
from chipfit.importers.keras.activations import clipped_relu, gelu, leaky_relu, log_softmax, softmax
from chipfit.importers.keras.layer import Function, LayerImporter
from chipfit.importers.keras.shapes import resolved


def _pair(o: LayerImporter) -> tuple[Value, Value]:
    """Both operands as float32."""
    return o.real(o.tensor(o.argument(0, "x1"))), o.real(o.tensor(o.argument(1, "x2")))


def _binary(op: str) -> Function:
    return lambda o: o.emit(op, list(_pair(o)))


def _divide(o: LayerImporter) -> Value:
    a, b = _pair(o)
    if not b.is_const:
        return o.emit("div", [a, b])
    return o.emit("mul", [a, o.constant("reciprocal", 1 / b.array)])


def _matmul(o: LayerImporter) -> Value:
    a, b = _pair(o)
    if b.is_const and len(b.shape) == 2:
        return o.emit("fully_connected", [a, o.constant("kernel", b.array.T), None], keep_dims=len(a.shape) > 2)
    if min(len(a.shape), len(b.shape)) < 2:
        raise ChipfitError(
            "O002", f"it multiplies '{a.name}' ({a.type}) by '{b.name}' ({b.type})", "give both two axes"
        )
    return o.emit("batch_matmul", [a, b])


def _comparison(op: str) -> Function:
    """Integers are compared as such, anything else as float32."""

    def function(o: LayerImporter) -> Value:
        a, b = (o.tensor(o.argument(i, name)) for i, name in ((0, "x1"), (1, "x2")))
        if a.dtype.is_float or b.dtype.is_float:
            a, b = o.real(a), o.real(b)
        else:
            a, b = o.cast(a, DType.INT32), o.cast(b, DType.INT32)
        return o.emit(op, [a, b], DType.BOOL)

    return function


def _logical(op: str) -> Function:
    def function(o: LayerImporter) -> Value:
        return o.emit(op, [o.cast(o.tensor(o.argument(i, name)), DType.BOOL) for i, name in ((0, "x1"), (1, "x2"))])

    return function


def _where(o: LayerImporter) -> Value:
    condition = o.cast(o.tensor(o.argument(0, "condition")), DType.BOOL)
    a, b = (o.real(o.tensor(o.argument(i, name))) for i, name in ((1, "x1"), (2, "x2")))
    return o.emit("select_v2", [condition, a, b], DType.FLOAT32)


def _variance(o: LayerImporter) -> Value:
    x, keep = o.real(o.x), bool(o.argument(2, "keepdims", False))
    axes = _axes(o, len(x.shape), o.argument(1, "axis"))
    centred = o.emit("sub", [x, o.emit("mean", [x], axes=axes, keep_dims=True)])
    return o.emit("mean", [o.emit("mul", [centred, centred])], axes=axes, keep_dims=keep)


def _arg_extremum(op: str) -> Function:
    def function(o: LayerImporter) -> Value:
        x, axis = o.real(o.x), o.argument(1, "axis")
        if axis is None or o.argument(2, "keepdims", False):
            raise ChipfitError(
                "O002", f"axis={axis!r} with keepdims cannot be compiled", "name one axis, without keepdims"
            )
        return o.emit(op, [x], DType.INT32, axis=o.axis(int(axis), len(x.shape)))

    return function


def _cumsum(o: LayerImporter) -> Value:
    x, axis = o.real(o.x), o.argument(1, "axis")
    if axis is None:
        raise ChipfitError("O002", "axis=None cannot be compiled", "name one axis")
    return o.emit("cumsum", [x], axis=o.axis(int(axis), len(x.shape)))


def _unary(function: Callable[[LayerImporter, Value], Value]) -> Function:
    return lambda o: function(o, o.real(o.x))


def _plain(op: str) -> Function:
    return lambda o: o.emit(op, [o.real(o.x)])


def _along_axis(function: Callable[[LayerImporter, Value, int], Value]) -> Function:
    def wrapped(o: LayerImporter) -> Value:
        axis = o.argument(1, "axis", -1)
        if not isinstance(axis, int):
            raise ChipfitError("O002", f"axis={axis!r} cannot be compiled", "use one axis")
        return function(o, o.real(o.x), axis)

    return wrapped


def _clip(o: LayerImporter) -> Value:
    x = o.real(o.x)
    low, high = (o.tensor(o.argument(i, name)) for i, name in ((1, "x_min"), (2, "x_max")))
    return o.emit("minimum", [o.emit("maximum", [x, o.real(low)]), o.real(high)])


# ---------------------------------------------------------------------------------------------- axes


def _axes(o: LayerImporter, rank: int, setting: Any) -> tuple[int, ...]:
    if setting is None:
        return tuple(range(rank))
    axes = (setting,) if isinstance(setting, int) else tuple(setting)
    return tuple(sorted({o.axis(int(a), rank) for a in axes}))


def _reduction(op: str) -> Function:
    def function(o: LayerImporter) -> Value:
        x = o.real(o.x)
        axes = _axes(o, len(x.shape), o.argument(1, "axis"))
        return o.emit(op, [x], axes=axes, keep_dims=bool(o.argument(2, "keepdims", False)))

    return function


def _reshape(o: LayerImporter) -> Value:
    """Symbolic shapes have None or -1 for the samples of a batch, which are one here."""
    x = o.x
    shape = tuple(-1 if d is None else int(d) for d in o.argument(1, "newshape"))
    if shape and shape[0] == -1 and shape.count(-1) > 1:
        shape = (x.shape[0], *shape[1:])
    return o.reshape(x, resolved(x, shape))


def _transpose(o: LayerImporter) -> Value:
    x = o.x
    rank, axes = len(x.shape), o.argument(1, "axes")
    return o.transpose(x, range(rank)[::-1] if axes is None else [o.axis(int(a), rank) for a in axes])


def _expand_dims(o: LayerImporter) -> Value:
    x, shape = o.x, list(o.x.shape)
    setting = o.argument(1, "axis")
    axes = (setting,) if isinstance(setting, int) else tuple(setting)
    for axis in sorted(o.axis(int(a), len(shape) + len(axes)) for a in axes):
        shape.insert(axis, 1)
    return o.reshape(x, shape)


def _squeeze(o: LayerImporter) -> Value:
    """Without axes: all of size 1 but the first, which counts samples."""
    x, setting = o.x, o.argument(1, "axis")
    every = [i for i, size in enumerate(x.shape) if size == 1 and i]
    gone = every if setting is None else _axes(o, len(x.shape), setting)
    return o.reshape(x, [size for i, size in enumerate(x.shape) if i not in gone])


def _concatenate(o: LayerImporter) -> Value:
    inputs = o.inputs
    return o.emit("concatenation", inputs, axis=o.axis(int(o.argument(1, "axis", -1)), len(inputs[0].shape)))


def _stack(o: LayerImporter) -> Value:
    inputs = o.inputs
    return o.emit("pack", inputs, axis=o.axis(int(o.argument(1, "axis", 0)), len(inputs[0].shape) + 1))


def _split(o: LayerImporter) -> list[Value]:
    x, parts = o.x, o.argument(1, "indices_or_sections")
    axis = o.axis(int(o.argument(2, "axis", 0)), len(x.shape))
    size = x.shape[axis]
    bounds = [size * i // parts for i in range(1, parts)] if isinstance(parts, int) else [int(i) for i in parts]
    sizes = tuple(int(n) for n in np.diff([0, *bounds, size]))
    return o.emit_all("split", [x], len(sizes), axis=axis, sizes=sizes)


def _get_item(o: LayerImporter) -> Value:
    """Slices, integers, None and ..., of which the first axis is taken whole."""
    x, key = o.x, o.argument(1, "key")
    keys = list(key) if isinstance(key, tuple) else [key]
    named = sum(k is not None and k is not Ellipsis for k in keys)
    rest = [slice(None)] * (len(x.shape) - named)
    at = keys.index(Ellipsis) if Ellipsis in keys else len(keys)
    keys[at : at + 1] = rest
    begin: list[int] = []
    end: list[int] = []
    strides: list[int] = []
    shape: list[int] = []
    for item in keys:
        if item is None:
            shape.append(1)
            continue
        size = x.shape[len(begin)]
        if isinstance(item, slice):
            positions = range(size)[item]
            if not positions:
                raise ChipfitError("O002", f"{item} takes nothing of '{x.name}' ({x.type})")
            shape.append(len(positions))
        elif isinstance(item, int):
            first = o.axis(item, size)
            positions = range(first, first + 1)
        else:
            raise ChipfitError("O002", f"it picks elements by {type(item).__name__}", "use slices and integers")
        begin.append(positions.start)
        end.append(positions.stop)
        strides.append(positions.step)
    taken = o.emit("strided_slice", [x], begin=tuple(begin), end=tuple(end), strides=tuple(strides))
    return o.reshape(taken, shape)


def _pad(o: LayerImporter) -> Value:
    x, mode = o.x, o.argument(2, "mode", "constant")
    setting = np.broadcast_to(np.asarray(o.argument(1, "pad_width")), (len(x.shape), 2))
    value = o.argument(3, "constant_values")
    pads = tuple((int(before), int(after)) for before, after in setting)
    if mode in ("reflect", "symmetric"):
        return o.emit("mirror_pad", [x], pads=pads, mode=mode)
    if mode != "constant":
        raise ChipfitError("O002", f"mode={mode!r} cannot be compiled", "pad with a constant, reflect or symmetric")
    return o.emit("pad", [x], pads=pads, value=None if not value else float(value))


def _flip(o: LayerImporter) -> Value:
    """Without axes: all but the first, which counts samples."""
    x, setting = o.x, o.argument(1, "axis")
    axes = tuple(range(1, len(x.shape))) if setting is None else _axes(o, len(x.shape), setting)
    return o.emit("reverse_v2", [x], axes=axes)


def _tile(o: LayerImporter) -> Value:
    """Missing repeats are 1, missing axes have the size 1."""
    x, repeats = o.x, [int(n) for n in np.ravel(o.argument(1, "repeats"))]
    rank = max(len(x.shape), len(repeats))
    x = o.reshape(x, (1,) * (rank - len(x.shape)) + x.shape)
    return o.emit("tile", [x], multiples=(1,) * (rank - len(repeats)) + tuple(repeats))


def _broadcast_to(o: LayerImporter) -> Value:
    """Symbolic shapes have None or -1 for the samples of a batch, which are one here."""
    return o.emit("broadcast_to", [o.x], shape=tuple(1 if d in (None, -1) else int(d) for d in o.argument(1, "shape")))


def _cast(o: LayerImporter) -> Value:
    dtype = o.model.keras.backend.standardize_dtype(o.argument(1, "dtype"))
    return o.real(o.x) if dtype.startswith(("float", "bfloat")) else o.cast(o.x, DType(dtype))


def _relu(o: LayerImporter) -> Value:
    return o.emit("relu", [o.real(o.x)])


FUNCTIONS: dict[str, Function] = {
    "Add": _binary("add"),
    "Subtract": _binary("sub"),
    "Multiply": _binary("mul"),
    "Maximum": _binary("maximum"),
    "Minimum": _binary("minimum"),
    "Divide": _divide,
    "TrueDivide": _divide,
    "Matmul": _matmul,
    "Negative": lambda o: o.emit("mul", [o.real(o.x), o.number("minus", -1.0)]),
    "Square": lambda o: o.emit("mul", [o.real(o.x), o.real(o.x)]),
    **dict.fromkeys(("Abs", "Absolute"), _plain("abs")),
    "Exp": _plain("exp"),
    "Log": _plain("log"),
    "Sqrt": _plain("sqrt"),
    "Rsqrt": _plain("rsqrt"),
    "Sin": _plain("sin"),
    "Cos": _plain("cos"),
    "Floor": _plain("floor"),
    "Ceil": _plain("ceil"),
    "Sign": _plain("sign"),
    "Reciprocal": lambda o: o.emit("div", [o.number("one", 1.0), o.real(o.x)]),
    "Power": _binary("pow"),
    "Equal": _comparison("equal"),
    "NotEqual": _comparison("not_equal"),
    "Greater": _comparison("greater"),
    "GreaterEqual": _comparison("greater_equal"),
    "Less": _comparison("less"),
    "LessEqual": _comparison("less_equal"),
    "LogicalAnd": _logical("logical_and"),
    "LogicalOr": _logical("logical_or"),
    "LogicalNot": lambda o: o.emit("logical_not", [o.cast(o.x, DType.BOOL)]),
    "Where": _where,
    "Clip": _clip,
    "Relu": _relu,
    "Relu6": _unary(lambda o, x: clipped_relu(o, x, 6)),
    "HardTanh": _plain("relu_n1_to_1"),
    "Sigmoid": _plain("logistic"),
    "Tanh": _plain("tanh"),
    "HardSilu": _plain("hard_swish"),
    "HardSigmoid": _unary(hard_sigmoid),
    "Silu": _unary(silu),
    "LeakyRelu": _unary(lambda o, x: leaky_relu(o, x, float(o.argument(1, "negative_slope", 0.2)))),
    "Elu": _unary(lambda o, x: exponential(o, x, float(o.argument(1, "alpha", 1.0)))),
    "Gelu": _unary(lambda o, x: gelu(o, x, bool(o.argument(1, "approximate", True)))),
    "Celu": _unary(lambda o, x: celu(o, x, float(o.argument(1, "alpha", 1.0)))),
    "Softplus": _unary(softplus),
    "Softsign": _unary(softsign),
    "Mish": _unary(mish),
    "LogSigmoid": _unary(log_sigmoid),
    "Softmax": _along_axis(softmax),
    "LogSoftmax": _along_axis(log_softmax),
    "Mean": _reduction("mean"),
    "Sum": _reduction("sum"),
    "Max": _reduction("reduce_max"),
    "Min": _reduction("reduce_min"),
    "Prod": _reduction("reduce_prod"),
    "Var": _variance,
    "Argmax": _arg_extremum("arg_max"),
    "Argmin": _arg_extremum("arg_min"),
    "Cumsum": _cumsum,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "ExpandDims": _expand_dims,
    "Squeeze": _squeeze,
    "Concatenate": _concatenate,
    "Stack": _stack,
    "Split": _split,
    "GetItem": _get_item,
    "Pad": _pad,
    "Flip": _flip,
    "Tile": _tile,
    "BroadcastTo": _broadcast_to,
    "Cast": _cast,
}
