"""TANH."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import rounding_divide_by_pot, tanh
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
class Tanh(Unary):
    """y = tanh(x).

    int8: the output has scale 1/128 and zero point 0. Source: TFLite TANH; int8 as in the TFLite Micro and LiteRT
    reference kernels (fixed point; LiteRT's optimised kernels round a float instead).
    """

    name: ClassVar[str] = "tanh"
    quant: ClassVar[Roles] = fixed_output(1 / 128, 0)

    kernels: ClassVar[tuple[Kernel, ...]] = (
        lookup_kernel(),
        Kernel("cf_tanh_f32", for_types("float32"), traversal=elements_in_order),
    )

    def check(self, node: Node) -> None:
        super().check(node)
        require_fixed_output(node, 1 / 128, 0)

    def eval_float(self, node: Node, *x: Array) -> Array:
        return np.tanh(x[0].astype(np.float64)).astype(np.float32)

    def eval_int(self, node: Node, *x: Array) -> Array:
        distance, q4, radius = to_q4(x[0], node["x"].q)
        inside = np.clip(rounding_divide_by_pot(tanh(q4, INTEGER_BITS), 24), -128, 127)
        return np.where(distance <= -radius, -128, np.where(distance >= radius, 127, inside))

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls(), Quant.per_tensor(1 / 128))
