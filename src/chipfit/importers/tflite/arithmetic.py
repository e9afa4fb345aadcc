"""Operators on numbers that have options, or that are another operator of ours."""

from __future__ import annotations

from chipfit.errors import ChipfitError
from chipfit.importers.tflite.operator import OperatorImporter

PLAIN = (
    *("abs", "neg", "exp", "log", "sqrt", "rsqrt", "square", "sin", "cos", "floor", "ceil", "round", "sign"),
    *("squared_difference", "pow", "equal", "not_equal", "greater", "greater_equal", "less", "less_equal"),
    *("logical_and", "logical_or", "logical_not", "select_v2", "gather_nd"),
)
"""Operators with the inputs and outputs of TensorFlow Lite's, and no options."""


def gelu(o: OperatorImporter) -> None:
    o.emit("gelu", o.inputs, approximate=bool(o.options("GeluOptions").approximate))


def batch_matmul(o: OperatorImporter) -> None:
    options = o.options("BatchMatMulOptions")
    o.emit("batch_matmul", o.inputs, adj_x=bool(options.adjX), adj_y=bool(options.adjY))


def select(o: OperatorImporter) -> None:
    """The older form: a condition of one axis counts along the first one of the others."""
    condition, a, b = o.input(0), o.input(1), o.input(2)
    if condition.shape != a.shape and condition.type.size > 1:
        raise ChipfitError("O002", f"its condition '{condition.name}' is {condition.type}, and '{a.name}' is {a.type}")
    o.emit("select_v2", [condition, a, b])


def cumsum(o: OperatorImporter) -> None:
    x, options = o.input(0), o.options("CumsumOptions")
    axis = o.axis(o.integer(1, "the axis"), len(x.shape))
    o.emit("cumsum", [x], axis=axis, exclusive=bool(options.exclusive), reverse=bool(options.reverse))


def embedding_lookup(o: OperatorImporter) -> None:
    """Rows of a table. Raises ChipfitError O002 (by the operator) for a table that is quantized alone."""
    o.emit("gather", [o.input(1), o.input(0)], axis=0)
