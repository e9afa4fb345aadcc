"""LOG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Kernel, register
from chipfit.ops._curve import Curve, curve_kernels
from chipfit.ops._float import log32
from chipfit.ops._unary import unary_samples


@register
@dataclass(frozen=True)
class Log(Curve):
    """y = log(x).

    int8, int16 or float32. Source: TFLite LOG; integers as in LiteRT (TFLite Micro has floats only): what is not
    positive gives the least output. LiteRT's int16 kernel goes wrong in the step that ends at 0, where the difference
    of its table's numbers leaves 16 bits.
    """

    name: ClassVar[str] = "log"

    kernels: ClassVar[tuple[Kernel, ...]] = curve_kernels("log")

    def function(self, x: Array) -> Array:
        return log32(x)

    def bounded(self, node: Node, x: Array) -> Array:
        y = node["y"]
        least = np.float32(y.dtype.range[0] - y.q.zp) * np.float32(y.q.s)
        return np.where(x <= 0, least, self.function(np.where(x <= 0, np.float32(1), x)))

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls())
