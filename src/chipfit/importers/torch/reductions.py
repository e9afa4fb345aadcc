"""Reductions over axes."""

from __future__ import annotations

import math
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Value
from chipfit.importers.torch.call import Absent, CallImporter, Function
from chipfit.importers.torch.elementwise import promoted


def _reduced(o: CallImporter, op: str, x: Value) -> Value:
    """Over ``dim``, by default all axes."""
    if not x.shape:
        return x
    return o.emit(op, [x], axes=o.axes("dim", len(x.shape)), keep_dims=o.flag("keepdim"))


def _reduction(op: str) -> Function:
    return lambda o: _reduced(o, op, o.cast(o.x, o.kind))


def _extremum(op: str, place: str, pair: str) -> Function:
    """All elements; those of an axis, with their places; or the greater (smaller) of two tensors."""

    def function(o: CallImporter) -> Any:
        if "other" in o.args:
            return o.emit(pair, promoted(o, o.args["self"], o.args["other"]))
        if "dim" not in o.args:
            return _reduced(o, op, o.x)
        values = _reduced(o, op, o.x)
        return [values, _place(o, place) if o.is_read(1) else Absent(f"the places of {op}")]

    return function


def _place(o: CallImporter, op: str) -> Value:
    """Where the greatest or least element of an axis lies, or of all elements in order."""
    x = o.x
    if o.args.get("dim") is None:
        return o.emit(op, [o.reshape(x, (x.type.size,))], DType.INT32, axis=0)
    axis = o.axis(int(o.args["dim"]), len(x.shape))
    y = o.emit(op, [x], DType.INT32, axis=axis)
    if not o.flag("keepdim"):
        return y
    return o.reshape(y, tuple(1 if i == axis else n for i, n in enumerate(x.shape)))


def _variance(o: CallImporter) -> Value:
    """The mean square of the distance from the mean, over ``count - correction`` elements instead of all."""
    x = o.real
    axes = o.axes("dim", len(x.shape))
    count = math.prod(x.shape[axis] for axis in axes)
    correction = float(o.get("correction", 1 if o.args.get("unbiased", True) else 0))
    if count <= correction:
        raise ChipfitError("O002", f"the variance of {count} elements with correction={correction:g} is no number")
    far = o.emit("sub", [x, o.emit("mean", [x], axes=axes, keep_dims=True)])
    y = o.emit("mean", [o.emit("mul", [far, far])], axes=axes, keep_dims=o.flag("keepdim"))
    return y if not correction else o.emit("mul", [y, o.real_number("correction", count / (count - correction))])


def _norm(o: CallImporter) -> Value:
    """Of vectors, order 1, 2 or infinity."""
    x, order = o.real, float(o.get("ord", 2))
    if order == 2:
        return o.emit("sqrt", [_reduced(o, "sum", o.emit("mul", [x, x]))])
    if order in (1, math.inf):
        return _reduced(o, "sum" if order == 1 else "reduce_max", o.emit("abs", [x]))
    raise ChipfitError("O002", f"ord={order:g} cannot be compiled", "use order 1, 2 or infinity")


def _any(op: str) -> Function:
    """Whether some, or all, elements are true: the greatest, or least, of 0 and 1."""
    return lambda o: o.cast(_reduced(o, op, o.cast(o.cast(o.x, DType.BOOL), DType.FLOAT32)), DType.BOOL)


REDUCTIONS: dict[str, Function] = {
    "mean": _reduction("mean"),
    "sum": _reduction("sum"),
    "prod": _reduction("reduce_prod"),
    "amax": _reduction("reduce_max"),
    "amin": _reduction("reduce_min"),
    "max": _extremum("reduce_max", "arg_max", "maximum"),
    "min": _extremum("reduce_min", "arg_min", "minimum"),
    "argmax": lambda o: _kept(o, _place(o, "arg_max")),
    "argmin": lambda o: _kept(o, _place(o, "arg_min")),
    "any": _any("reduce_max"),
    "all": _any("reduce_min"),
    "var": _variance,
    "std": lambda o: o.emit("sqrt", [_variance(o)]),
    "linalg_vector_norm": _norm,
}


def _kept(o: CallImporter, y: Value) -> Value:
    """All axes, reduced to one element, in the shape that torch says."""
    return o.reshape(y, o.shape)
