"""LOGISTIC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import logistic, rounding_divide_by_pot
from chipfit.graph import Array, Node, Quant
from chipfit.ops._base import Kernel, for_types, register
from chipfit.ops._lookup import lookup_kernel
from chipfit.ops._roles import Roles, fixed_output
from chipfit.ops._sigmoid import INTEGER_BITS, to_q4
from chipfit.ops._steps import elements_in_order
from chipfit.ops._types import require_fixed_output
from chipfit.ops._unary import Unary, unary_samples


@register
@dataclass(frozen=True)
class Logistic(Unary):
    """y = 1 / (1 + exp(-x)).

    int8: the output has scale 1/256 and zero point -128. Source: TFLite LOGISTIC; int8 in fixed point, as in the TFLite
    Micro reference kernel. LiteRT's reference kernel is equal but for input scales above 2, where TFLite Micro takes
    inputs from three steps on as infinite; LiteRT's optimised kernels round a float instead.
    """

    name: ClassVar[str] = "logistic"
    quant: ClassVar[Roles] = fixed_output(1 / 256, -128)

    kernels: ClassVar[tuple[Kernel, ...]] = (
        lookup_kernel(),
        Kernel("cf_logistic_f32", for_types("float32"), traversal=elements_in_order),
    )

    def check(self, node: Node) -> None:
        super().check(node)
        require_fixed_output(node, 1 / 256, -128)

    def eval_float(self, node: Node, *x: Array) -> Array:
        v = x[0].astype(np.float32)
        one = np.float32(1)
        e = np.exp(np.where(v < -9, v, -v).astype(np.float64)).astype(np.float32)
        return np.where(v > np.float32(16.619047), one, np.where(v < -9, e, one / (one + e)))

    def eval_int(self, node: Node, *x: Array) -> Array:
        distance, q4, radius = to_q4(x[0], node["x"].q)
        inside = np.clip(rounding_divide_by_pot(logistic(q4, INTEGER_BITS), 23) - 128, -128, 127)
        return np.where(distance <= -radius, -128, np.where(distance >= radius, 127, inside))

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls(), Quant.per_tensor(1 / 256, -128))
