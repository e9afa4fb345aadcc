"""Operators on every element: arithmetic, comparisons, logic, casts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Value
from chipfit.importers.onnx.node import Function, NodeImporter
from chipfit.ops.transpose import Transpose


def binary(op: str) -> Function:
    return lambda o: combine(o, op, o.value(0), o.value(1))


def combine(o: NodeImporter, op: str, a: Value, b: Value) -> Value:
    """a and b combined; where one is a number for each channel, with channels last, so that a layer can take it in."""
    for x, other, is_first in ((a, b, True), (b, a, False)):
        numbers = _per_channel(o, x, other)
        if numbers is not None:
            y = o.constant("constant", numbers)
            return o.model.channels.along_last(x, lambda v: o.emit(op, [v, y] if is_first else [y, v]), o.base)  # noqa: B023
    return o.emit(op, [a, b])


def _per_channel(o: NodeImporter, x: Value, constant: Value) -> Array | None:
    """One number for each channel of an x that a layer with channels last has made: from the shape (c, 1, 1)."""
    before = o.model.builder.producer(x)
    rank = len(x.shape)
    if before is None or not isinstance(before.op, Transpose) or before.op.perm != (0, rank - 1, *range(1, rank - 1)):
        return None
    if not constant.is_const or len(constant.shape) > rank or not constant.dtype.is_float:
        return None
    shape = (1,) * (rank - len(constant.shape)) + constant.shape
    return constant.array.reshape(-1) if shape == (1, shape[1], *(1,) * (rank - 2)) else None


def divide(o: NodeImporter) -> Value:
    a, b = o.value(0), o.value(1)
    if not a.dtype.is_float:
        raise ChipfitError("O002", f"it divides integers, '{a.name}' ({a.type})", "cast to float before")
    if not b.is_const or np.any(b.array == 0):
        return o.emit("div", [a, b])
    return combine(o, "mul", a, o.constant("reciprocal", 1 / b.array.astype(np.float64)))


def power(o: NodeImporter) -> Value:
    """Squares and roots have operators of their own."""
    x = o.value(0)
    if o.is_const(1) and o.array(1, "the exponent").size == 1:
        exponent = float(o.array(1, "the exponent").reshape(-1)[0])
        if exponent == 1:
            return x
        if exponent in (2.0, 0.5, -0.5):
            return o.emit({2.0: "square", 0.5: "sqrt", -0.5: "rsqrt"}[exponent], [x])
    return o.emit("pow", [x, o.cast(o.value(1), x.dtype)])


def variadic(op: str) -> Function:
    """Max, Min, Sum: of any number of tensors."""

    def function(o: NodeImporter) -> Value:
        first, *rest = o.values
        for other in rest:
            first = combine(o, op, first, other)
        return first

    return function


def average(o: NodeImporter) -> Value:
    total = variadic("add")(o)
    assert isinstance(total, Value)
    return o.emit("mul", [total, o.scalar("count", 1 / len(o.operands))])


def reciprocal(o: NodeImporter) -> Value:
    return o.emit("div", [o.scalar("one", 1.0), o.x])


def tangent(o: NodeImporter) -> Value:
    return o.emit("div", [o.emit("sin", [o.x]), o.emit("cos", [o.x])])


def compare(op: str) -> Function:
    return lambda o: o.emit(op, [o.value(0), o.value(1)], DType.BOOL)


def exclusive_or(o: NodeImporter) -> Value:
    """(a or b) and not (a and b)."""
    a, b = o.value(0), o.value(1)
    both = o.emit("logical_not", [o.emit("logical_and", [a, b])])
    return o.emit("logical_and", [o.emit("logical_or", [a, b]), both])


def where(o: NodeImporter) -> Value:
    return o.emit("select_v2", [o.value(0), o.value(1), o.value(2)], o.value(1).dtype)


def cast(o: NodeImporter) -> Value:
    return o.cast(o.x, o.model.dtype(int(o.attribute("to", 0))))


def cast_like(o: NodeImporter) -> Value:
    return o.cast(o.x, o.value(1).dtype)


def identity(o: NodeImporter) -> Value | Array:
    found = o.operands[0]
    return o.x if found is None else found


def dropout(o: NodeImporter) -> list[Value]:
    """Nothing at inference; the mask, which nobody reads, is left out."""
    return [o.x]


def _plain(op: str) -> Callable[[NodeImporter], Value]:
    return lambda o: o.emit(op, [o.x])


ARITHMETIC: dict[str, Function] = {
    "Add": binary("add"),
    "Sub": binary("sub"),
    "Mul": binary("mul"),
    "Div": divide,
    "Pow": power,
    "Max": variadic("maximum"),
    "Min": variadic("minimum"),
    "Sum": variadic("add"),
    "Mean": average,
    "Neg": _plain("neg"),
    "Abs": _plain("abs"),
    "Exp": _plain("exp"),
    "Log": _plain("log"),
    "Sqrt": _plain("sqrt"),
    "Reciprocal": reciprocal,
    "Floor": _plain("floor"),
    "Ceil": _plain("ceil"),
    "Round": _plain("round"),
    "Sign": _plain("sign"),
    "Sin": _plain("sin"),
    "Cos": _plain("cos"),
    "Tan": tangent,
    "Equal": compare("equal"),
    "Greater": compare("greater"),
    "GreaterOrEqual": compare("greater_equal"),
    "Less": compare("less"),
    "LessOrEqual": compare("less_equal"),
    "And": compare("logical_and"),
    "Or": compare("logical_or"),
    "Not": _plain("logical_not"),
    "Xor": exclusive_or,
    "Where": where,
    "Cast": cast,
    "CastLike": cast_like,
    "Identity": identity,
    "Dropout": dropout,
}
