"""REDUCE_MIN."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, DType, Node
from chipfit.ops._base import Kernel, float_type, for_types, int8_type, int16_type, make_node, register
from chipfit.ops._checks import require_same_scale
from chipfit.ops._reduce import Reduce
from chipfit.ops._roles import SHARED, Roles


@register
@dataclass(frozen=True)
class ReduceMin(Reduce):
    """y = smallest element of x along the axes.

    x: any shape, int8, int16 or float32; y has x's scale and zero point. Source: TFLite REDUCE_MIN; int16 as in
    LiteRT's reference kernel (TFLite Micro has it for int8 and float32 only).
    """

    name: ClassVar[str] = "reduce_min"
    quant: ClassVar[Roles] = SHARED
    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel("cf_reduce_min_s8", for_types("int8")),
        Kernel("cf_reduce_min_s16", for_types("int16")),
        Kernel("cf_reduce_min_f32", for_types("float32")),
    )

    def check(self, node: Node) -> None:
        super().check(node)
        require_same_scale(node)

    def eval_float(self, node: Node, *x: Array) -> Array:
        return x[0].min(axis=self.axes, keepdims=self.keep_dims)

    def eval_int(self, node: Node, *x: Array) -> Array:
        return x[0].min(axis=self.axes, keepdims=self.keep_dims)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for shape, op in cls.sample_shapes():
            x = int8_type(rng, *shape)
            yield make_node(op, {"x": x}, (DType.INT8, x.quant))
            wide = int16_type(rng, *shape)
            yield make_node(op, {"x": wide}, (DType.INT16, wide.quant))
            yield make_node(op, {"x": float_type(*shape)}, (DType.FLOAT32, None))
