"""SHAPE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Node
from chipfit.graph import Shape as ShapeTuple
from chipfit.ops._base import Call, Const, Kernel, Op, Port, make_node, register
from chipfit.ops._move import sample_types


@register
@dataclass(frozen=True)
class Shape(Op):
    """y = the sizes of the axes of x.

    x: any type and shape; y: (rank,), int32 or int64. All shapes are known when compiling, so that the pass
    ``fold_constants`` replaces it by a constant. Source: TFLite SHAPE.
    """

    name: ClassVar[str] = "shape"

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy"),)

    def infer(self, node: Node) -> Sequence[ShapeTuple]:
        return [(len(node["x"].shape),)]

    def check(self, node: Node) -> None:
        y = node["y"]
        if y.dtype not in (DType.INT32, DType.INT64):
            raise ChipfitError("O002", f"shape '{node.name}': '{y.name}' ({y.type}) is neither int32 nor int64")

    def eval_int(self, node: Node, *x: Array) -> Array:
        return np.array(node["x"].shape, np.int64)

    def call(self, node: Node) -> Call:
        y = node["y"]
        return Call([Const("shape", np.array(node["x"].shape, y.dtype.numpy)), Port("y")], {"bytes": y.type.nbytes})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for shape, dtype in (((3,), DType.INT32), ((1, 5, 7, 2), DType.INT64)):
            for x in sample_types(rng, *shape):
                yield make_node(cls(), {"x": x}, (dtype, None))
