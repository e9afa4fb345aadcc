"""REDUCE_MIN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.ops._base import Kernel, for_types, register
from chipfit.ops._reduce_extremum import ReduceExtremum


@register
@dataclass(frozen=True)
class ReduceMin(ReduceExtremum):
    """y = smallest element of x along the axes.

    x: any shape, int8, int16 or float32; y has x's scale and zero point. Source: TFLite REDUCE_MIN; int16 as in
    LiteRT's reference kernel (TFLite Micro has it for int8 and float32 only).
    """

    name: ClassVar[str] = "reduce_min"
    extremum: ClassVar[np.ufunc] = np.minimum
    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel("cf_reduce_min_s8", for_types("int8")),
        Kernel("cf_reduce_min_s16", for_types("int16")),
        Kernel("cf_reduce_min_f32", for_types("float32")),
    )
