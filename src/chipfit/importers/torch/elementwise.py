"""Arithmetic, comparisons, logic and other functions of single elements; activations are in activations.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Value
from chipfit.importers.torch.call import CallImporter, Function


def promoted(o: CallImporter, *items: Any) -> list[Value]:
    """Operands of one element type and as many axes, as torch promotes them: float32 if any is real, else int32."""
    real = any(isinstance(i, float) or (not isinstance(i, (bool, int)) and o.tensor(i).dtype.is_float) for i in items)
    values = [o.real_number("constant", i) if real and isinstance(i, int) else o.tensor(i) for i in items]
    rank = max(len(v.shape) for v in values)
    return [o.with_rank(o.cast(v, DType.FLOAT32 if real else DType.INT32), rank) for v in values]


def _binary(op: str) -> Function:
    return lambda o: o.emit(op, promoted(o, o.args["self"], o.args["other"]))


def _scaled(o: CallImporter, item: Any) -> Any:
    """An operand times ``alpha``."""
    alpha = o.get("alpha", 1)
    if alpha == 1:
        return item
    return item * alpha if isinstance(item, (int, float)) else o.emit("mul", promoted(o, item, alpha))


def _add(o: CallImporter) -> Value:
    return o.emit("add", promoted(o, o.args["self"], _scaled(o, o.args["other"])))


def _sub(o: CallImporter) -> Value:
    return o.emit("sub", promoted(o, o.args["self"], _scaled(o, o.args["other"])))


def _rsub(o: CallImporter) -> Value:
    return o.emit("sub", promoted(o, o.args["other"], _scaled(o, o.args["self"])))


def _mul(o: CallImporter) -> Value:
    """With a mask, too; of two masks it is both."""
    if o.kind is DType.BOOL:
        return _logical("logical_and")(o)
    return o.emit("mul", promoted(o, o.args["self"], o.args["other"]))


def divided(o: CallImporter, a: Value, b: Value) -> Value:
    """a / b; by a constant it is a multiplication."""
    if b.is_const and np.all(b.array != 0):
        return o.emit("mul", [a, o.constant("reciprocal", 1 / b.array.astype(np.float64))])
    return o.emit("div", [a, b])


def _div(o: CallImporter) -> Value:
    mode = o.get("rounding_mode")
    a, b = (o.cast(v, DType.FLOAT32) for v in promoted(o, o.args["self"], o.args["other"]))
    if mode is None:
        return divided(o, a, b)
    if mode != "floor" or not o.kind.is_float:
        raise ChipfitError("O002", f"rounding_mode={mode!r} to {o.kind.value} cannot be compiled", "use floor on float")
    return o.emit("floor", [o.emit("div", [a, b])])


def _pow(o: CallImporter) -> Value:
    base, exponent = o.args["self"], o.args["exponent"]
    if isinstance(exponent, (int, float)):
        x = o.real
        if exponent == 2:
            return o.emit("mul", [x, x])
        if exponent == 3:
            return o.emit("mul", [o.emit("mul", [x, x]), x])
        named = {0.5: "sqrt", -0.5: "rsqrt"}.get(exponent)
        if named is not None:
            return o.emit(named, [x])
    if isinstance(base, (int, float)) and base > 0:
        power = o.cast(o.tensor(exponent), DType.FLOAT32)
        return o.emit("exp", [o.emit("mul", [power, o.real_number("logarithm", math.log(base))])])
    return o.emit("pow", [o.cast(v, DType.FLOAT32) for v in promoted(o, base, exponent)])


def _of_real(op: str) -> Function:
    return lambda o: o.emit(op, [o.real])


def _any_type(op: str) -> Function:
    return lambda o: o.emit(op, [o.x])


def _sign_or_so(op: str) -> Function:
    """Functions that leave integers as they are."""
    return lambda o: o.emit(op, [o.x]) if o.x.dtype.is_float else o.x


def _times(op: str, factor: float) -> Function:
    """A function of x, times a number."""
    return lambda o: o.emit("mul", [o.emit(op, [o.real]), o.real_number("factor", factor)])


def _expm1(o: CallImporter) -> Value:
    return o.emit("sub", [o.emit("exp", [o.real]), o.real_number("one", 1)])


def _log1p(o: CallImporter) -> Value:
    return o.emit("log", [o.emit("add", [o.real, o.real_number("one", 1)])])


def _exp2(o: CallImporter) -> Value:
    return o.emit("exp", [o.emit("mul", [o.real, o.real_number("logarithm", math.log(2))])])


def _reciprocal(o: CallImporter) -> Value:
    return o.emit("div", [o.with_rank(o.constant("one", np.ones((1,), np.float32)), len(o.shape)), o.real])


def _addc(function: Callable[[CallImporter, Value, Value], Value]) -> Function:
    """self + value * f(tensor1, tensor2)."""

    def made(o: CallImporter) -> Value:
        x, a, b = promoted(o, o.args["self"], o.args["tensor1"], o.args["tensor2"])
        y = function(o, a, b)
        factor = float(o.get("value", 1))
        return o.emit("add", [x, y if factor == 1 else o.emit("mul", [y, o.real_number("value", factor)])])

    return made


def _lerp(o: CallImporter) -> Value:
    """self + weight * (end - self)."""
    x, end, weight = promoted(o, o.args["self"], o.args["end"], o.args["weight"])
    return o.emit("add", [x, o.emit("mul", [o.emit("sub", [end, x]), weight])])


# ---------------------------------------------------------------------------------------------- truth


def _compare(op: str) -> Function:
    return lambda o: o.emit(op, promoted(o, o.args["self"], o.args["other"]), DType.BOOL)


def _truth(o: CallImporter, x: Value) -> Value:
    return o.cast(x, DType.BOOL)


def _logical(op: str) -> Function:
    def function(o: CallImporter) -> Value:
        if o.kind is not DType.BOOL:
            raise ChipfitError("O002", "operations on bits cannot be compiled")
        a, b = (_truth(o, o.tensor(o.args[name])) for name in ("self", "other"))
        rank = max(len(a.shape), len(b.shape))
        return o.emit(op, [o.with_rank(a, rank), o.with_rank(b, rank)], DType.BOOL)

    return function


def _xor(o: CallImporter) -> Value:
    """Of truths, as 0 and 1."""
    if o.kind is not DType.BOOL:
        raise ChipfitError("O002", "operations on bits cannot be compiled")
    a, b = (_truth(o, o.tensor(o.args[name])) for name in ("self", "other"))
    return o.emit("not_equal", promoted(o, a, b), DType.BOOL)


def _not(o: CallImporter) -> Value:
    if o.kind is not DType.BOOL:
        raise ChipfitError("O002", "operations on bits cannot be compiled")
    return o.emit("logical_not", [_truth(o, o.x)], DType.BOOL)


def selected(o: CallImporter, condition: Any, yes: Any, no: Any) -> Value:
    """Elements of ``yes`` where the condition holds, else of ``no``."""
    a, b = promoted(o, yes, no)
    truth = _truth(o, o.tensor(condition))
    rank = max(len(v.shape) for v in (truth, a, b))
    operands = [o.with_rank(v, rank) for v in (truth, a, b)]
    return o.emit("select_v2", operands, operands[1].dtype)


# ---------------------------------------------------------------------------------------------- types


def _nothing(o: CallImporter) -> Value:
    return o.x


def _converted(o: CallImporter) -> Value:
    return o.cast(o.x, o.kind)


def _dropout(o: CallImporter) -> Value:
    if o.flag("train"):
        raise ChipfitError("O002", "it drops elements at random", "export the model in evaluation mode: module.eval()")
    return o.x


ELEMENTWISE: dict[str, Function] = {
    "add": _add,
    "sub": _sub,
    "rsub": _rsub,
    "mul": _mul,
    "div": _div,
    "maximum": _binary("maximum"),
    "minimum": _binary("minimum"),
    "pow": _pow,
    "square": lambda o: o.emit("mul", [o.x, o.x]),
    "sqrt": _of_real("sqrt"),
    "rsqrt": _of_real("rsqrt"),
    "exp": _of_real("exp"),
    "exp2": _exp2,
    "expm1": _expm1,
    "log": _of_real("log"),
    "log2": _times("log", 1 / math.log(2)),
    "log10": _times("log", 1 / math.log(10)),
    "log1p": _log1p,
    "sin": _of_real("sin"),
    "cos": _of_real("cos"),
    "abs": _any_type("abs"),
    "neg": _any_type("neg"),
    "sign": _any_type("sign"),
    "floor": _sign_or_so("floor"),
    "ceil": _sign_or_so("ceil"),
    "round": _sign_or_so("round"),
    "reciprocal": _reciprocal,
    "addcmul": _addc(lambda o, a, b: o.emit("mul", [a, b])),
    "addcdiv": _addc(divided),
    "lerp": _lerp,
    "eq": _compare("equal"),
    "ne": _compare("not_equal"),
    "gt": _compare("greater"),
    "ge": _compare("greater_equal"),
    "lt": _compare("less"),
    "le": _compare("less_equal"),
    **dict.fromkeys(("logical_and", "bitwise_and", "__and__"), _logical("logical_and")),
    **dict.fromkeys(("logical_or", "bitwise_or", "__or__"), _logical("logical_or")),
    **dict.fromkeys(("logical_xor", "bitwise_xor", "__xor__"), _xor),
    **dict.fromkeys(("logical_not", "bitwise_not"), _not),
    "where": lambda o: selected(o, o.args["condition"], o.args["self"], o.args["other"]),
    "masked_fill": lambda o: selected(o, o.args["mask"], o.args["value"], o.args["self"]),
    **dict.fromkeys(("clone", "contiguous", "detach", "alias", "lift_fresh_copy", "lift_fresh"), _nothing),
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"), _dropout),
    **dict.fromkeys(("to", "_to_copy", "type_as"), _converted),
}
