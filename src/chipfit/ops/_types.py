"""Checks of element types and quantization that elementwise operators share."""

from __future__ import annotations

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Node, Value
from chipfit.ops._roles import Fixed

QUANTIZED_HINT = "quantize the whole model to int8, or leave it in float32"


def require_one_type(node: Node, *allowed: DType) -> None:
    """Raise O002 unless all operands and the output have one of these element types, the same.

    int8 needs one scale, int16 one scale and the zero point 0.
    """
    values = [*node.operands, *node.outputs]
    kinds = {v.dtype for v in values}
    if len(kinds) != 1 or not kinds <= set(allowed):
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}' has element types {', '.join(f'{v.name}: {v.dtype.value}' for v in values)}"
            f"; it can be compiled where all are {' or all '.join(d.value for d in allowed)}",
            QUANTIZED_HINT,
        )
    for value in values:
        if value.dtype in (DType.INT8, DType.INT16):
            require_per_tensor(node, value)
            require_symmetric(node, value)


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


def require_symmetric(node: Node, value: Value) -> None:
    """Raise O002 for an int16 value with a zero point other than 0."""
    if value.dtype is DType.INT16 and value.q.zp != 0:
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}': '{value.name}' ({value.type}) has zero point {value.q.zp}; "
            "int16 activations are symmetric",
            QUANTIZED_HINT,
        )


def require_fixed_output(node: Node, fixed: Fixed) -> None:
    """Raise O002 unless an int8 or int16 output has the quantization that its operator prescribes."""
    y = node["y"]
    asked = fixed.of(y.dtype)
    if asked is not None and y.type.quant != asked:
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}': the output has scale {y.q.s:g} and zero point {y.q.zp}; "
            f"TensorFlow Lite prescribes {asked.s:g} and {asked.zp}",
            "convert the model with the TensorFlow Lite converter, which sets them",
        )
