"""FLOOR."""

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
class Floor(Curve):
    """y = the greatest integer that is not above x.

    int8 or float32. Source: TFLite FLOOR; int8 is chipfit's own: TensorFlow Lite has none.
    """

    name: ClassVar[str] = "floor"
    quant: ClassVar[Roles] = OWN_INT8

    kernels: ClassVar[tuple[Kernel, ...]] = step_kernels("floor")

    def function(self, x: Array) -> Array:
        return np.floor(x)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls())
