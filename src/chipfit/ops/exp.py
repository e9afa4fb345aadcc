"""EXP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Kernel, register
from chipfit.ops._curve import Curve, curve_kernels
from chipfit.ops._float import exp32
from chipfit.ops._unary import unary_samples


@register
@dataclass(frozen=True)
class Exp(Curve):
    """y = exp(x).

    int8, int16 or float32. Source: TFLite EXP; integers as in LiteRT (TFLite Micro has floats only).
    """

    name: ClassVar[str] = "exp"

    kernels: ClassVar[tuple[Kernel, ...]] = curve_kernels("exp")

    def function(self, x: Array) -> Array:
        return exp32(x)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls())
