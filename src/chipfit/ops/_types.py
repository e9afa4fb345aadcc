"""Checks of element types and quantization that elementwise operators share."""

from __future__ import annotations

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Node, Value

QUANTIZED_HINT = "quantize the whole model to int8, or leave it in float32"


def require_one_type(node: Node, *allowed: DType) -> None:
    """Raise O002 unless all operands and the output have one of these element types, the same; int8 needs a scale."""
    values = [*node.operands, *node.outputs]
    kinds = {v.dtype for v in values}
    if len(kinds) != 1 or not kinds <= set(allowed):
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}' has element types {', '.join(f'{v.name}: {v.dtype.value}' for v in values)}"
            f"; it can be compiled where all are {' or all '.join(d.value for d in allowed)}",
            QUANTIZED_HINT,
        )
    if kinds == {DType.INT8}:
        for value in values:
            require_per_tensor(node, value)


def require_per_tensor(node: Node, value: Value) -> None:
    """Raise O002 unless the value has one scale and one zero point."""
    quant = value.type.quant
    if quant is None or len(quant.scale) != 1:
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}': '{value.name}' ({value.type}) has "
            f"{'no quantization' if quant is None else f'{len(quant.scale)} scales'}; it needs one scale",
            QUANTIZED_HINT,
        )


def require_fixed_output(node: Node, scale: float, zero_point: int) -> None:
    """Raise O002 unless an int8 output has the quantization that its operator prescribes."""
    y = node["y"]
    if y.dtype is DType.INT8 and (y.q.s, y.q.zp) != (scale, zero_point):
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}': the output has scale {y.q.s:g} and zero point {y.q.zp}; "
            f"TensorFlow Lite prescribes {scale:g} and {zero_point}",
            "convert the model with the TensorFlow Lite converter, which sets them",
        )
