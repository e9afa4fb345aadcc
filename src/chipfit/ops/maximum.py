"""MAXIMUM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Kernel, for_types, register
from chipfit.ops._extremum import Extremum, extremum_samples
from chipfit.ops._lookup import scalar_lookup_kernel
from chipfit.ops._steps import elements_in_order


@register
@dataclass(frozen=True)
class Maximum(Extremum):
    """y = a > b ? a : b, with numpy's broadcasting. int8, int16, int32 or float32.

    Source: TFLite MAXIMUM. Quantized elements are compared as they are stored, in TFLite Micro as in LiteRT: the result
    is meaningful where a, b and y have one scale and zero point, which the TensorFlow Lite converter sees to.
    """

    name: ClassVar[str] = "maximum"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        scalar_lookup_kernel(),
        Kernel("cf_maximum_s8", for_types("int8"), traversal=elements_in_order),
        Kernel("cf_maximum_s16", for_types("int16"), traversal=elements_in_order),
        Kernel("cf_maximum_f32", for_types("float32"), traversal=elements_in_order),
        Kernel("cf_maximum_s32", for_types("int32"), traversal=elements_in_order),
    )

    def eval_float(self, node: Node, *x: Array) -> Array:
        return np.where(x[0] > x[1], x[0], x[1])

    def eval_int(self, node: Node, *x: Array) -> Array:
        return np.where(x[0] > x[1], x[0], x[1])

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from extremum_samples(rng, cls())
