"""MEAN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Kernel, for_types, register
from chipfit.ops._reduce import ReduceSum, sums_in_fours


@register
@dataclass(frozen=True)
class Mean(ReduceSum):
    """y = mean of x along the axes.

    x: any shape, int8, int16 or float32. Source: TFLite MEAN; integers as in the TFLite Micro reference kernel, for all
    axes alike: the sum of ``x - zero_x`` is multiplied by ``scale_x / scale_y / count`` with double rounding, where the
    division by the count truncates the 31 bit multiplier (it is shifted up first to lose less).
    """

    name: ClassVar[str] = "mean"
    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel("cf_sum_s8_fours", for_types("int8"), when=sums_in_fours),
        Kernel("cf_sum_s8", for_types("int8")),
        Kernel("cf_sum_s16", for_types("int16")),
        Kernel("cf_mean_f32", for_types("float32")),
    )

    def multiplier(self, node: Node) -> tuple[int, int]:
        m, shift = super().multiplier(node)
        count = self.count(node["x"].shape)
        up = min(count.bit_length() - 1, 32, 31 + shift)
        return (m << up) // count, shift - up

    def eval_float(self, node: Node, *x: Array) -> Array:
        return self.sum_in_order(x[0]) / np.float32(self.count(x[0].shape))
