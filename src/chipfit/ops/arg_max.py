"""ARG_MAX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chipfit.graph import Array
from chipfit.ops._arg_extremum import ArgExtremum
from chipfit.ops._base import Kernel, for_types, register


@register
@dataclass(frozen=True)
class ArgMax(ArgExtremum):
    """The index of the greatest element along ``axis``, the first of equal ones; the axis goes away. y: int32.

    x: int8 or float32. Source: TFLite ARG_MAX. A NaN is never greater, and nothing is greater than a NaN.
    """

    name: ClassVar[str] = "arg_max"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel("cf_arg_max_s8", for_types("int8", "int32")),
        Kernel("cf_arg_max_f32", for_types("float32", "int32")),
    )

    def better(self, a: Array, b: Array) -> Array:
        return a > b
