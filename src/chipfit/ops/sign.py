"""SIGN."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Kernel, register
from chipfit.ops._curve import Curve, step_kernels
from chipfit.ops._roles import OWN_INT8, Roles
from chipfit.ops._unary import unary_samples


@register
@dataclass(frozen=True)
class Sign(Curve):
    """y = 1 where x is positive, -1 where it is negative, else 0 (NaN, too).

    int8 or float32. Source: TFLite SIGN; int8 is chipfit's own: TensorFlow Lite has none.
    """

    name: ClassVar[str] = "sign"
    quant: ClassVar[Roles] = OWN_INT8

    kernels: ClassVar[tuple[Kernel, ...]] = step_kernels("sign")

    def function(self, x: Array) -> Array:
        return np.where(x > 0, np.float32(1), np.where(x < 0, np.float32(-1), np.float32(0)))

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls())
