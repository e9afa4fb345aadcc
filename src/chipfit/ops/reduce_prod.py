"""REDUCE_PROD."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, DType, Node
from chipfit.ops._base import Kernel, float_type, for_types, make_node, register
from chipfit.ops._reduce import Reduce
from chipfit.ops._roles import NO_ROLES, Roles
from chipfit.ops._types import require_one_type


@register
@dataclass(frozen=True)
class ReduceProd(Reduce):
    """y = product of the elements of x along the axes. float32. Source: TFLite REDUCE_PROD."""

    name: ClassVar[str] = "reduce_prod"
    quant: ClassVar[Roles] = NO_ROLES
    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_reduce_prod_f32", for_types("float32")),)

    def check(self, node: Node) -> None:
        require_one_type(node, DType.FLOAT32)
        super().check(node)

    def eval_float(self, node: Node, *x: Array) -> Array:
        return x[0].prod(axis=self.axes, keepdims=self.keep_dims, dtype=np.float32)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for shape, op in cls.sample_shapes():
            yield make_node(op, {"x": float_type(*shape)}, (DType.FLOAT32, None))
