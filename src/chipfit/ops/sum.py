"""SUM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chipfit.graph import Array, Node
from chipfit.ops._base import Kernel, for_types, register
from chipfit.ops._reduce import ReduceSum, sums_in_fours


@register
@dataclass(frozen=True)
class Sum(ReduceSum):
    """y = sum of x along the axes.

    x: any shape, int8, int16 or float32. Source: TFLite SUM; integers as in the TFLite Micro reference kernel: the sum
    of ``x - zero_x`` is multiplied by ``scale_x / scale_y`` with double rounding. (LiteRT 2.3's reference kernel
    returns other, wrong values for both.)
    """

    name: ClassVar[str] = "sum"
    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel("cf_sum_s8_fours", for_types("int8"), when=sums_in_fours),
        Kernel("cf_sum_s8", for_types("int8")),
        Kernel("cf_sum_s16", for_types("int16")),
        Kernel("cf_sum_f32", for_types("float32")),
    )

    def eval_float(self, node: Node, *x: Array) -> Array:
        return self.sum_in_order(x[0])
