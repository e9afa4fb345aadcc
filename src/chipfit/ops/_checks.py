"""Checks that windows, matrix products and reductions share: each raises ChipfitError O002 and names the tensors."""

from __future__ import annotations

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Node, Value
from chipfit.ops._types import require_per_tensor, require_symmetric

_QUANTIZED = (DType.INT8, DType.UINT8, DType.INT16)
_MOST_INT16 = (1 << 16) - 1


def require_scales(node: Node, *ports: str) -> None:
    """The 8 and 16 bit tensors at these ports have one scale and zero point."""
    for port in ports:
        if node[port].dtype in _QUANTIZED:
            require_per_tensor(node, node[port])


def require_same_scale(node: Node) -> None:
    """x and y have the same zero point (int16: 0), and scales equal within 1e-6 (what TFLite's pools ask for)."""
    require_scales(node, "x", "y")
    x, y = node["x"], node["y"]
    require_symmetric(node, x)
    if x.dtype is not y.dtype or (x.dtype in _QUANTIZED and not _same_scale(x, y)):
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}': '{x.name}' ({x.type}) and '{y.name}' ({y.type}) differ in element type, "
            "scale or zero point; this operator does not rescale",
            "convert the model with a current TensorFlow Lite converter",
        )


def _same_scale(x: Value, y: Value) -> bool:
    return x.q.zp == y.q.zp and abs(x.q.s - y.q.s) <= 1e-6


def require_int32_sums(node: Node, count: int) -> None:
    """Sums of ``count`` int16 elements of x fit into int32."""
    x = node["x"]
    if x.dtype is DType.INT16 and count > _MOST_INT16:
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}' sums {count:,} elements of '{x.name}' ({x.type}); {_MOST_INT16:,} fit into "
            "the 32 bits of a sum",
            "reduce the tensor in two steps, or leave this operator in int8",
        )


def require_weight_scales(node: Node, axis: int) -> None:
    """int8 weights have one scale, or one for every output channel along ``axis``; an int8 op's bias is int32."""
    require_scales(node, "x", "y")
    x, w, b = node["x"], node["w"], node.get("b")
    if w.dtype is DType.INT8:
        quant = w.type.quant
        if quant is None or (len(quant.scale) != 1 and (quant.axis != axis or len(quant.scale) != w.shape[axis])):
            raise ChipfitError(
                "O002",
                f"{node.op.name} '{node.name}': weights '{w.name}' ({w.type}) need one scale, "
                f"or one for each of the {w.shape[axis]} channels along axis {axis}",
                "convert the model with full integer quantization",
            )
    expected = DType.INT32 if x.dtype is DType.INT8 else DType.FLOAT32
    if b is not None and b.dtype is not expected:
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}': bias '{b.name}' is {b.dtype.value}, expected {expected.value}",
        )
