"""SQRT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, DType, Node
from chipfit.ops._base import Kernel, register
from chipfit.ops._curve import Curve, curve_kernels
from chipfit.ops._unary import unary_samples


@register
@dataclass(frozen=True)
class Sqrt(Curve):
    """y = the square root of x.

    int8, int16 or float32. Source: TFLite SQRT; int8 as in LiteRT (TFLite Micro has floats only), which computes in
    float32 and cuts the steps off instead of rounding them. int16 is interpolated in a table; LiteRT computes in
    float32. What is negative counts as 0 on integers, where LiteRT ends the run.
    """

    name: ClassVar[str] = "sqrt"

    kernels: ClassVar[tuple[Kernel, ...]] = curve_kernels("sqrt")

    def function(self, x: Array) -> Array:
        return np.sqrt(x)

    def bounded(self, node: Node, x: Array) -> Array:
        return np.sqrt(np.maximum(x, 0))

    def eval_int(self, node: Node, *x: Array) -> Array:
        if node["y"].dtype is DType.INT16:
            return super().eval_int(node, *x)
        vx, vy = node["x"].q, node["y"].q
        real = np.float32(vx.s) * (x[0].astype(np.int32) - vx.zp).astype(np.float32)
        steps = np.trunc(self.bounded(node, real) / np.float32(vy.s))
        return np.clip(steps.astype(np.int64) + vy.zp, -128, 127)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls())
