"""Nodes whose inputs are constant are computed at import: chains on shapes, which exporters write out, vanish."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array

_MOST_ELEMENTS = 1 << 27

FOLDED = frozenset(
    (
        *("Abs", "Add", "And", "ArgMax", "ArgMin", "BitShift", "Cast", "CastLike"),
        *("Ceil", "Clip", "Compress", "Concat", "Constant", "ConstantOfShape", "Cos", "CumSum"),
        *("Div", "Equal", "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor"),
        *("Gather", "GatherElements", "GatherND", "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual"),
        *("Log", "MatMul", "Max", "Mean", "Min", "Mod", "Mul", "Neg"),
        *("NonZero", "Not", "OneHot", "Or", "Pad", "Pow", "Range", "Reciprocal"),
        *("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Round", "ScatterElements"),
        *("ScatterND", "Sign", "Sin", "Size", "Slice", "Split", "Sqrt", "Squeeze"),
        *("Sub", "Sum", "Tan", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where"),
        *("Xor"),
    )
)
"""Operators that are computed where their inputs are constant; shapes are, since all sizes are known."""


def evaluate(onnx: Any, node: Any, operands: Sequence[Array | None], opset: int) -> list[Array]:
    """The outputs of a node with these inputs, by ONNX's own definition of it.

    Raises ChipfitError F005 for what would be larger than any model, F003 where the operator does not take them.
    """
    if _elements(node, operands) > _MOST_ELEMENTS:
        raise ChipfitError("F005", "it makes a constant of more than 128 Mi elements", "is it a model for a chip?")
    helper = onnx.helper
    feeds = {name: data for name, data in zip(node.input, operands, strict=True) if data is not None}
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(data.dtype), data.shape)
        for name, data in feeds.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    try:
        graph = helper.make_graph([node], "constants", inputs, outputs)
        versions = [helper.make_opsetid("", max(opset, 1)), helper.make_opsetid("ai.onnx.ml", 3)]
        evaluator = onnx.reference.ReferenceEvaluator(helper.make_model(graph, opset_imports=versions))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = iter(evaluator.run(None, feeds))
    except Exception as error:  # the definitions are Python code, which fails as it may on what it does not expect
        reason = str(error).strip().split("\n")[0]
        raise ChipfitError("O002", f"it cannot be computed: {reason}", "is the model valid? (onnx.checker)") from None
    return [np.asarray(next(found)) if name else np.zeros(0, np.float32) for name in node.output]


def _elements(node: Any, operands: Sequence[Array | None]) -> float:
    """Elements of the output at most, of operators that can make much of little."""
    arrays = [np.asarray(a) for a in operands if a is not None]
    if node.op_type in ("ConstantOfShape", "Expand") and arrays:
        grown = math.prod(max(0, int(n)) for n in arrays[-1].reshape(-1))
        return grown * (arrays[0].size if node.op_type == "Expand" else 1)
    if node.op_type == "Tile" and len(arrays) == 2:
        return arrays[0].size * math.prod(max(0, int(n)) for n in arrays[1].reshape(-1))
    if node.op_type == "Range" and len(arrays) == 3:
        start, limit, delta = (float(a.reshape(-1)[0]) if a.size else 0.0 for a in arrays)
        return abs((limit - start) / delta) if delta else math.inf
    if node.op_type == "Pad" and len(arrays) > 1:
        return arrays[0].size * math.prod(1 + abs(float(n)) for n in arrays[1].reshape(-1))
    if node.op_type == "OneHot" and len(arrays) > 1:
        return arrays[0].size * abs(float(arrays[1].reshape(-1)[0])) if arrays[1].size else 0
    if node.op_type == "MatMul":
        return float(math.prod(a.size for a in arrays))
    if node.op_type == "Gather" and len(arrays) == 2:
        return float(arrays[0].size * max(1, arrays[1].size))
    try:
        return float(math.prod(np.broadcast_shapes(*(a.shape for a in arrays))))
    except ValueError:
        return 0.0
