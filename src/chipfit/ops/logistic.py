"""LOGISTIC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import logistic, logistic_of_scaled, rounding_divide_by_pot
from chipfit.graph import Array, DType, Node, Quant
from chipfit.ops._base import Kernel, for_types, register
from chipfit.ops._lookup import lookup_kernel
from chipfit.ops._roles import Fixed, Roles, fixed_output
from chipfit.ops._sigmoid import (
    INTEGER_BITS,
    check_int16,
    int16_kernel,
    int16_samples,
    logistic_float,
    scaled_input,
    to_q4,
)
from chipfit.ops._steps import elements_in_order
from chipfit.ops._types import require_fixed_output
from chipfit.ops._unary import Unary, unary_samples

_OUTPUT = Fixed(1 / 256, -128, 1 / 32768)
_POWERS = (-12,)
"""Input scales 2**power that TFLite Micro treats by themselves."""


@register
@dataclass(frozen=True)
class Logistic(Unary):
    """y = 1 / (1 + exp(-x)).

    int8: the output has scale 1/256 and zero point -128; int16: 1/32768 and 0. Source: TFLite LOGISTIC; int8 in fixed
    point, int16 interpolated in a table, as in the TFLite Micro reference kernels. LiteRT's reference kernels are equal
    but for int8 input scales above 2, where TFLite Micro takes inputs from three steps on as infinite; LiteRT's
    optimised kernels round a float instead.
    """

    name: ClassVar[str] = "logistic"
    quant: ClassVar[Roles] = fixed_output(_OUTPUT)

    kernels: ClassVar[tuple[Kernel, ...]] = (
        lookup_kernel(),
        int16_kernel("logistic", _POWERS),
        Kernel("cf_logistic_f32", for_types("float32"), traversal=elements_in_order),
    )

    def check(self, node: Node) -> None:
        super().check(node)
        require_fixed_output(node, _OUTPUT)
        check_int16(node, _POWERS)

    def eval_float(self, node: Node, *x: Array) -> Array:
        return logistic_float(x[0].astype(np.float32))

    def eval_int(self, node: Node, *x: Array) -> Array:
        if node["y"].dtype is DType.INT16:
            return self._eval_int16(node, x[0])
        distance, q4, radius = to_q4(x[0], node["x"].q)
        inside = np.clip(rounding_divide_by_pot(logistic(q4, INTEGER_BITS), 23) - 128, -128, 127)
        return np.where(distance <= -radius, -128, np.where(distance >= radius, 127, inside))

    def _eval_int16(self, node: Node, x: Array) -> Array:
        return logistic_of_scaled(scaled_input(node, x, _POWERS))

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls(), Quant.per_tensor(1 / 256, -128))
        yield from int16_samples(rng, cls(), Quant.per_tensor(1 / 32768))
