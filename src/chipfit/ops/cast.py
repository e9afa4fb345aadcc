"""CAST."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Node, Shape, TensorType
from chipfit.ops._base import Call, Kernel, Op, Port, for_types, make_node, register
from chipfit.ops._element import CODES, FLOATS, INTEGERS
from chipfit.ops._steps import elements_in_order
from chipfit.ops._traversal import Rows, elementwise_rows, sliced


@register
@dataclass(frozen=True)
class Cast(Op):
    """y = x as another type: integers, bool, float16, float32. Quantization is not looked at.

    Integers keep their low bits; floats are rounded to the nearest; float to integer goes towards zero. Bool is 0 or 1,
    and true is what is not 0. Source: TFLite CAST (TFLite Micro: fewer types). A float that the integer type cannot
    hold becomes its nearest bound and NaN becomes 0 (TFLite leaves that to the compiler).
    """

    name: ClassVar[str] = "cast"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        *(
            Kernel("cf_cast_int", for_types(x.value, y.value), traversal=elements_in_order)
            for x in INTEGERS
            for y in INTEGERS
        ),
        *(
            Kernel("cf_cast_to_float", for_types(x.value, y.value), traversal=elements_in_order)
            for x in CODES
            for y in FLOATS
        ),
        *(
            Kernel("cf_cast_from_float", for_types(x.value, y.value), traversal=elements_in_order)
            for x in FLOATS
            for y in INTEGERS
        ),
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        return [node["x"].shape]

    def check(self, node: Node) -> None:
        x, y = node["x"], node["y"]
        if x.dtype not in CODES or y.dtype not in CODES:
            raise ChipfitError(
                "O002",
                f"cast '{node.name}' from {x.dtype.value} ('{x.name}') to {y.dtype.value} cannot be compiled",
                "float64 is not worth its size on a microcontroller: use float32 in the model",
            )

    def eval_float(self, node: Node, *x: Array) -> Array:
        # float16 by way of float32, as the kernels do
        wide = x[0].astype(np.float32)
        return wide if node["y"].dtype is DType.FLOAT32 else _to_half(wide)

    def eval_int(self, node: Node, *x: Array) -> Array:
        y, value = node["y"].dtype, x[0]
        if y is DType.BOOL:
            return value != 0
        if not node["x"].dtype.is_float:
            return value.astype(np.int64).astype(y.numpy)
        low, high = y.range
        # float64 holds every float32, and every bound but that of int64, which is then one too high
        real = np.trunc(np.nan_to_num(value.astype(np.float64), nan=0.0))
        inside = (real > low) & (real < high)
        return np.where(
            inside, np.where(inside, real, 0).astype(np.int64), np.where(real < 0, low, np.minimum(high, real))
        )

    def rows(self, node: Node) -> Rows | str:
        return elementwise_rows(node)

    def slice_rows(self, node: Node, first: int, count: int, padded: bool) -> Node:
        return sliced(node, self, first, first + count, count)

    def call(self, node: Node) -> Call:
        x, y = node["x"].dtype, node["y"].dtype
        params: dict[str, int | float | tuple[int, ...]] = {
            "n": node["x"].type.size,
            "x_type": CODES[x],
            "y_type": CODES[y],
        }
        if x.is_float and not y.is_float:
            signed = y is not DType.BOOL and y.range[0] < 0
            params |= {"bits": 8 * y.bytes - signed, "is_signed": int(signed)}
        return Call([Port("x"), Port("y")], params)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for x in CODES:
            for y in CODES:
                yield make_node(cls(), {"x": TensorType((3, 19), x)}, (y, None))


def _to_half(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return x.astype(np.float16)
