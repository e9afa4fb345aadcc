"""RELU_N1_TO_1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._activation import activation_float
from chipfit.ops._base import Call, Kernel, for_types, register
from chipfit.ops._lookup import lookup_kernel
from chipfit.ops._relu import clamp_call, float32_quotient, rescale_and_clamp
from chipfit.ops._roles import OWN_INT8, Roles
from chipfit.ops._steps import elements_in_order
from chipfit.ops._unary import Unary, unary_samples


@register
@dataclass(frozen=True)
class ReluN1To1(Unary):
    """y = min(max(x, -1), 1).

    Source: TFLite RELU_N1_TO_1; int8 is rescaled with double rounding, as in LiteRT (TFLite Micro has no such
    operator).
    """

    name: ClassVar[str] = "relu_n1_to_1"
    quant: ClassVar[Roles] = OWN_INT8

    kernels: ClassVar[tuple[Kernel, ...]] = (
        lookup_kernel(),
        Kernel("cf_clamp_f32", for_types("float32"), traversal=elements_in_order),
    )

    def eval_float(self, node: Node, *x: Array) -> Array:
        return activation_float("relu_n1_to_1", x[0])

    def eval_int(self, node: Node, *x: Array) -> Array:
        return rescale_and_clamp(node, x[0], "relu_n1_to_1", float32_quotient(node))

    def call(self, node: Node) -> Call:
        return clamp_call(node, "relu_n1_to_1")

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls())
