"""DEQUANTIZE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Node, Quant, Shape, TensorType
from chipfit.ops._base import Call, Kernel, Op, Port, dequantize, for_types, make_node, register
from chipfit.ops._element import CODES
from chipfit.ops._steps import elements_in_order
from chipfit.ops._traversal import Rows, elementwise_rows, sliced
from chipfit.ops._types import QUANTIZED_HINT, require_per_tensor

_INTEGERS = (DType.INT8, DType.UINT8, DType.INT16)


@register
@dataclass(frozen=True)
class Dequantize(Op):
    """y = scale * (x - zero point), float32; from int8, uint8, int16, or the same number from float16.

    A constant may have a scale per channel: it is folded, no kernel runs. Source: TFLite DEQUANTIZE (TFLite Micro has
    no float16).
    """

    name: ClassVar[str] = "dequantize"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        *(Kernel("cf_dequantize", for_types(x.value, "float32"), traversal=elements_in_order) for x in _INTEGERS),
        Kernel("cf_dequantize_f16", for_types("float16", "float32"), traversal=elements_in_order),
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        return [node["x"].shape]

    def check(self, node: Node) -> None:
        x, y = node["x"], node["y"]
        if y.dtype is not DType.FLOAT32 or x.dtype not in (*_INTEGERS, DType.FLOAT16):
            raise ChipfitError(
                "O002",
                f"dequantize '{node.name}' from {x.dtype.value} ('{x.name}') to {y.dtype.value} cannot be compiled",
                QUANTIZED_HINT,
            )
        if x.dtype is not DType.FLOAT16 and (x.type.quant is None or not x.is_const):
            require_per_tensor(node, x)

    def eval_float(self, node: Node, *x: Array) -> Array:
        if node["x"].dtype is DType.FLOAT16:
            return x[0].astype(np.float32)
        return dequantize(x[0], node["x"].q)

    def rows(self, node: Node) -> Rows | str:
        return elementwise_rows(node)

    def slice_rows(self, node: Node, first: int, count: int, padded: bool) -> Node:
        return sliced(node, self, first, first + count, count)

    def call(self, node: Node) -> Call:
        x = node["x"]
        if x.dtype is DType.FLOAT16:
            return Call([Port("x"), Port("y")], {"n": x.type.size})
        params = {"n": x.type.size, "x_type": CODES[x.dtype], "x_zero": x.q.zp, "scale": x.q.s}
        return Call([Port("x"), Port("y")], params)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for dtype in _INTEGERS:
            low, high = dtype.range
            for zero in (0, low, high):
                quant = Quant.per_tensor(float(rng.uniform(0.001, 0.3)), 0 if dtype is DType.INT16 else zero)
                yield make_node(cls(), {"x": TensorType((2, 5, 7), dtype, quant)}, (DType.FLOAT32, None))
        yield make_node(cls(), {"x": TensorType((3, 11), DType.FLOAT16)}, (DType.FLOAT32, None))
