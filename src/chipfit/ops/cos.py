"""COS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Kernel, register
from chipfit.ops._curve import Curve, curve_kernels
from chipfit.ops._unary import unary_samples


@register
@dataclass(frozen=True)
class Cos(Curve):
    """y = cos(x), x in radians.

    int8, int16 or float32. Source: TFLite COS; int8 and int16 are chipfit's own: TensorFlow Lite has none.
    """

    name: ClassVar[str] = "cos"

    kernels: ClassVar[tuple[Kernel, ...]] = curve_kernels("cos")

    def function(self, x: Array) -> Array:
        return np.cos(x.astype(np.float64)).astype(np.float32)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls())
