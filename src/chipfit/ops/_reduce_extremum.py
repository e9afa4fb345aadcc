"""What reduce_max and reduce_min share: the output is one of the elements, so scale and zero point stay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, DType, Node
from chipfit.ops._base import float_type, int8_type, int16_type, make_node
from chipfit.ops._checks import require_same_scale
from chipfit.ops._reduce import Reduce
from chipfit.ops._roles import SHARED, Roles


@dataclass(frozen=True)
class ReduceExtremum(Reduce):
    """``extremum``: of two elements, the one that is kept."""

    extremum: ClassVar[np.ufunc]
    quant: ClassVar[Roles] = SHARED

    def check(self, node: Node) -> None:
        super().check(node)
        require_same_scale(node)

    def eval_float(self, node: Node, *x: Array) -> Array:
        return self.extremum.reduce(x[0], axis=self.axes, keepdims=self.keep_dims)

    def eval_int(self, node: Node, *x: Array) -> Array:
        return self.extremum.reduce(x[0], axis=self.axes, keepdims=self.keep_dims)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for shape, op in cls.sample_shapes():
            x = int8_type(rng, *shape)
            yield make_node(op, {"x": x}, (DType.INT8, x.quant))
            wide = int16_type(rng, *shape)
            yield make_node(op, {"x": wide}, (DType.INT16, wide.quant))
            yield make_node(op, {"x": float_type(*shape)}, (DType.FLOAT32, None))
