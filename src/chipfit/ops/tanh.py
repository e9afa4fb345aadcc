"""TANH."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import rounding_divide_by_pot, tanh, tanh_of_scaled
from chipfit.graph import Array, DType, Node, Quant
from chipfit.ops._base import Kernel, for_types, register
from chipfit.ops._lookup import lookup_kernel
from chipfit.ops._roles import Fixed, Roles, fixed_output
from chipfit.ops._sigmoid import (
    INTEGER_BITS,
    check_int16,
    int16_kernel,
    int16_samples,
    scaled_input,
    to_q4,
)
from chipfit.ops._steps import elements_in_order
from chipfit.ops._types import require_fixed_output
from chipfit.ops._unary import Unary, unary_samples

_OUTPUT = Fixed(1 / 128, 0, 1 / 32768)
_POWERS = (-12, -11)
"""Input scales 2**power that TFLite Micro treats by themselves."""


@register
@dataclass(frozen=True)
class Tanh(Unary):
    """y = tanh(x).

    int8: the output has scale 1/128 and zero point 0; int16: 1/32768 and 0. Source: TFLite TANH; int8 in fixed point,
    int16 interpolated in a table, as in the TFLite Micro and LiteRT reference kernels (LiteRT's optimised kernels round
    a float instead).
    """

    name: ClassVar[str] = "tanh"
    quant: ClassVar[Roles] = fixed_output(_OUTPUT)

    kernels: ClassVar[tuple[Kernel, ...]] = (
        lookup_kernel(),
        int16_kernel("tanh", _POWERS),
        Kernel("cf_tanh_f32", for_types("float32"), traversal=elements_in_order),
    )

    def check(self, node: Node) -> None:
        super().check(node)
        require_fixed_output(node, _OUTPUT)
        check_int16(node, _POWERS)

    def eval_float(self, node: Node, *x: Array) -> Array:
        return np.tanh(x[0].astype(np.float64)).astype(np.float32)

    def eval_int(self, node: Node, *x: Array) -> Array:
        if node["y"].dtype is DType.INT16:
            return self._eval_int16(node, x[0])
        distance, q4, radius = to_q4(x[0], node["x"].q)
        inside = np.clip(rounding_divide_by_pot(tanh(q4, INTEGER_BITS), 24), -128, 127)
        return np.where(distance <= -radius, -128, np.where(distance >= radius, 127, inside))

    def _eval_int16(self, node: Node, x: Array) -> Array:
        return tanh_of_scaled(scaled_input(node, x, _POWERS))

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls(), Quant.per_tensor(1 / 128))
        yield from int16_samples(rng, cls(), Quant.per_tensor(1 / 32768))
