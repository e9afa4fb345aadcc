"""QUANTIZE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import quantize_multiplier, requantize, round_half_away
from chipfit.graph import Array, DType, Node, Quant, Shape, TensorType
from chipfit.ops._base import Call, Kernel, Op, Port, float_type, for_types, make_node, register
from chipfit.ops._element import CODES
from chipfit.ops._lookup import BYTES, lookup_kernel
from chipfit.ops._steps import elements_in_order
from chipfit.ops._traversal import Rows, elementwise_rows, sliced
from chipfit.ops._types import QUANTIZED_HINT, require_per_tensor

_NARROW = (DType.INT8, DType.UINT8, DType.INT16)
_INTEGERS = (*_NARROW, DType.INT32)
_PAIRS = tuple((x, y) for x in _INTEGERS for y in _INTEGERS)


@register
@dataclass(frozen=True)
class Quantize(Op):
    """y = clamp(round(x / scale_y) + zero point), from float32; or from one quantization to another.

    From float32 to int8, uint8, int16; between any two of int8, uint8, int16, int32 (int32 with zero point 0). Source:
    TFLite QUANTIZE; float in float32, halves away from zero; integers with double rounding as in the TFLite Micro
    reference kernel. Beyond TFLite Micro: float32 and int16 to uint8, and uint8 to uint8, int16, int32 (by the same
    rule). A float outside of int32 after the division is clamped here; the TFLite kernels leave it to the processor.
    """

    name: ClassVar[str] = "quantize"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        *(lookup_kernel(x.value, y.value) for x in BYTES for y in BYTES),
        *(
            Kernel("cf_requantize", for_types(x.value, y.value), traversal=elements_in_order)
            for x, y in _PAIRS
            if x not in BYTES or y not in BYTES
        ),
        *(Kernel("cf_quantize_f32", for_types("float32", y.value), traversal=elements_in_order) for y in _NARROW),
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        return [node["x"].shape]

    def check(self, node: Node) -> None:
        x, y = node["x"], node["y"]
        if y.dtype not in (_NARROW if x.dtype is DType.FLOAT32 else _INTEGERS) or (
            x.dtype is not DType.FLOAT32 and x.dtype not in _INTEGERS
        ):
            raise ChipfitError(
                "O002",
                f"quantize '{node.name}' from {x.dtype.value} ('{x.name}') to {y.dtype.value} cannot be compiled",
                QUANTIZED_HINT,
            )
        for value in (x, y):
            if value.dtype is DType.FLOAT32:
                continue
            require_per_tensor(node, value)
            if value.dtype is DType.INT32 and value.q.zp != 0:
                raise ChipfitError(
                    "O002",
                    f"quantize '{node.name}': '{value.name}' ({value.type}) has zero point {value.q.zp}; "
                    "int32 is symmetric",
                    QUANTIZED_HINT,
                )

    def eval_int(self, node: Node, *x: Array) -> Array:
        y = node["y"]
        low, high = y.dtype.range
        if not node["x"].dtype.is_float:
            m, shift = _multiplier(node)
            return requantize(x[0].astype(np.int64) - node["x"].q.zp, m, shift, y.q.zp, low, high)
        rounded = round_half_away(x[0].astype(np.float32) / np.float32(y.q.s))
        inside = np.clip(np.where(np.isnan(rounded), -np.inf, rounded), low - y.q.zp, high - y.q.zp)
        return inside.astype(np.int64) + y.q.zp

    def rows(self, node: Node) -> Rows | str:
        return elementwise_rows(node)

    def slice_rows(self, node: Node, first: int, count: int, padded: bool) -> Node:
        return sliced(node, self, first, first + count, count)

    def call(self, node: Node) -> Call:
        x, y = node["x"], node["y"]
        low, high = y.dtype.range
        params: dict[str, int | float | tuple[int, ...]] = {
            "n": y.type.size,
            "y_type": CODES[y.dtype],
            "y_zero": y.q.zp,
            "y_min": low,
            "y_max": high,
        }
        if x.dtype is DType.FLOAT32:
            return Call([Port("x"), Port("y")], {**params, "scale": y.q.s})
        m, shift = _multiplier(node)
        more = {"x_type": CODES[x.dtype], "x_zero": x.q.zp, "m": m, "shift": shift}
        return Call([Port("x"), Port("y")], {**params, **more})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for dtype in _NARROW:
            low, high = dtype.range
            for scale, zero in ((0.02, 0), (0.5, low), (0.0078125, high), (1.0, 3)):
                quant = Quant.per_tensor(scale, 0 if dtype is DType.INT16 else zero)
                yield make_node(cls(), {"x": float_type(1, 7, 11)}, (dtype, quant))
        for x_dtype, y_dtype in _PAIRS:
            for factor in (1.0, 0.37, 1.9, 256.0, 1 / 256):
                x_quant = _random_quant(rng, x_dtype, 0.03)
                y_quant = _random_quant(rng, y_dtype, 0.03 * factor)
                yield make_node(cls(), {"x": TensorType((2, 3, 17), x_dtype, x_quant)}, (y_dtype, y_quant))
        for x_dtype, y_dtype, zero in ((DType.INT8, DType.UINT8, -7), (DType.UINT8, DType.INT8, 121)):
            x_type = TensorType((256,), x_dtype, Quant.per_tensor(0.1, zero))
            moved = zero + (128 if x_dtype is DType.INT8 else -128)
            yield make_node(cls(), {"x": x_type}, (y_dtype, Quant.per_tensor(0.1, moved)))


def _multiplier(node: Node) -> tuple[int, int]:
    return quantize_multiplier(node["x"].q.s / node["y"].q.s)


def _random_quant(rng: np.random.Generator, dtype: DType, scale: float) -> Quant:
    """int16 is symmetric by custom, int32 always."""
    low, high = dtype.range
    return Quant.per_tensor(scale, int(rng.integers(low, high + 1)) if dtype in BYTES else 0)
