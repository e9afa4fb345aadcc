"""Operators that leave one number of many: sums, means, extremes and their places."""

from __future__ import annotations

from collections.abc import Callable

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Value
from chipfit.importers.onnx.node import Function, NodeImporter


def _reduced(o: NodeImporter, op: str, x: Value) -> Value:
    """Axes are an attribute or, in newer opsets, operand 1; none are all, or with ``noop_with_empty_axes`` none."""
    setting = o.setting("axes", 1)
    rank = len(x.shape)
    if not setting:
        if o.attribute("noop_with_empty_axes", 0):
            return x
        setting = tuple(range(rank))
    return o.emit(op, [x], axes=o.axes(setting, rank), keep_dims=bool(o.attribute("keepdims", 1)))


def _reduction(
    op: str,
    before: Callable[[NodeImporter, Value], Value] | None = None,
    after: Callable[[NodeImporter, Value], Value] | None = None,
) -> Function:
    """A reduction of a function of x, and a function of its result."""

    def function(o: NodeImporter) -> Value:
        x = o.x if before is None else before(o, o.x)
        y = _reduced(o, op, x)
        return y if after is None else after(o, y)

    return function


def _emitting(op: str) -> Callable[[NodeImporter, Value], Value]:
    return lambda o, x: o.emit(op, [x])


def _log_sum_exp(o: NodeImporter) -> Value:
    """log(sum(exp(x - m))) + m with the greatest element m, so that nothing overflows."""
    x, rank = o.x, len(o.x.shape)
    axes = o.axes(o.setting("axes", 1) or tuple(range(rank)), rank)
    greatest = o.emit("reduce_max", [x], axes=axes, keep_dims=True)
    total = o.emit("sum", [o.emit("exp", [o.emit("sub", [x, greatest])])], axes=axes, keep_dims=True)
    y = o.emit("add", [o.emit("log", [total]), greatest])
    return y if o.attribute("keepdims", 1) else o.reshape(y, [n for i, n in enumerate(x.shape) if i not in axes])


def _place(op: str) -> Function:
    """The index of the greatest or least element, int32."""

    def function(o: NodeImporter) -> Value:
        if o.attribute("select_last_index", 0):
            raise o.refuse("select_last_index", "use 0: the first of equal elements is taken")
        x = o.x
        axis = o.axis(int(o.attribute("axis", 0)), len(x.shape))
        y = o.emit(op, [x], DType.INT32, axis=axis)
        return o.reshape(y, (*x.shape[:axis], 1, *x.shape[axis + 1 :])) if o.attribute("keepdims", 1) else y

    return function


def top_k(o: NodeImporter) -> list[Value]:
    """The greatest element and its index; more than one would have to be sorted."""
    x, k = o.x, o.integers(1, "k") if o.has(1) else (int(o.attribute("k", 0)),)
    axis = o.axis(int(o.attribute("axis", -1)), len(x.shape))
    if k != (1,):
        raise ChipfitError("O002", f"k={k[0] if k else 0} cannot be compiled", "use ArgMax, or k=1")
    greatest = bool(o.attribute("largest", 1))
    best = o.emit("reduce_max" if greatest else "reduce_min", [x], axes=(axis,), keep_dims=True)
    place = o.emit("arg_max" if greatest else "arg_min", [x], DType.INT32, axis=axis)
    return [best, o.reshape(place, best.shape)]


REDUCTIONS: dict[str, Function] = {
    "ReduceMean": _reduction("mean"),
    "ReduceSum": _reduction("sum"),
    "ReduceMax": _reduction("reduce_max"),
    "ReduceMin": _reduction("reduce_min"),
    "ReduceProd": _reduction("reduce_prod"),
    "ReduceL1": _reduction("sum", _emitting("abs")),
    "ReduceL2": _reduction("sum", _emitting("square"), _emitting("sqrt")),
    "ReduceSumSquare": _reduction("sum", _emitting("square")),
    "ReduceLogSum": _reduction("sum", None, _emitting("log")),
    "ReduceLogSumExp": _log_sum_exp,
    "ArgMax": _place("arg_max"),
    "ArgMin": _place("arg_min"),
    "TopK": top_k,
}
