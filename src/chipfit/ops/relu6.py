"""RELU6."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._activation import activation_float
from chipfit.ops._base import Call, Kernel, for_types, register
from chipfit.ops._lookup import lookup_kernel
from chipfit.ops._relu import clamp_call, float32_quotient, rescale_and_clamp, rescale_kernel
from chipfit.ops._roles import SHARED, Roles
from chipfit.ops._steps import elements_in_order
from chipfit.ops._unary import Unary, unary_samples


@register
@dataclass(frozen=True)
class Relu6(Unary):
    """y = min(max(x, 0), 6).

    int8, int16 or float32. Source: TFLite RELU6; integers are rescaled with double rounding, as in LiteRT. The TFLite
    Micro kernel ignores the output's quantization and only clamps the stored elements, which is the same where x and y
    have one scale and zero point and wrong elsewhere: there we follow LiteRT.
    """

    name: ClassVar[str] = "relu6"
    quant: ClassVar[Roles] = SHARED  # of TFLite Micro's kernel

    kernels: ClassVar[tuple[Kernel, ...]] = (
        lookup_kernel(),
        rescale_kernel("relu6", float32_quotient),
        Kernel("cf_clamp_f32", for_types("float32"), traversal=elements_in_order),
    )

    def eval_float(self, node: Node, *x: Array) -> Array:
        return activation_float("relu6", x[0])

    def eval_int(self, node: Node, *x: Array) -> Array:
        return rescale_and_clamp(node, x[0], "relu6", float32_quotient(node))

    def call(self, node: Node) -> Call:
        return clamp_call(node, "relu6")

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls())
