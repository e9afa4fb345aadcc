"""RELU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Kernel, for_types, register
from chipfit.ops._lookup import lookup_kernel
from chipfit.ops._relu import double_quotient, rescale_and_clamp, rescale_kernel
from chipfit.ops._steps import elements_in_order
from chipfit.ops._unary import Unary, unary_samples


@register
@dataclass(frozen=True)
class Relu(Unary):
    """y = max(x, 0).

    int8, int16 or float32. Source: TFLite RELU; integers as in the TFLite Micro reference kernel: rescaled with double
    rounding, by a double quotient (LiteRT: a float32 quotient, so that a tie can fall otherwise).
    """

    name: ClassVar[str] = "relu"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        lookup_kernel(),
        rescale_kernel("relu", double_quotient),
        Kernel("cf_relu_f32", for_types("float32"), traversal=elements_in_order),
    )

    def eval_float(self, node: Node, *x: Array) -> Array:
        return np.where(x[0] < 0, np.float32(0), x[0])

    def eval_int(self, node: Node, *x: Array) -> Array:
        return rescale_and_clamp(node, x[0], "relu", double_quotient(node))

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls())
