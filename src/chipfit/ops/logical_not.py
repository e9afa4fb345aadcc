"""LOGICAL_NOT."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, DType, Node, Shape, TensorType
from chipfit.ops._base import Call, Kernel, Op, Port, for_types, make_node, register
from chipfit.ops._steps import elements_in_order
from chipfit.ops._traversal import Rows, elementwise_rows, sliced
from chipfit.ops._types import require_one_type
from chipfit.ops._unary import SHAPES


@register
@dataclass(frozen=True)
class LogicalNot(Op):
    """y = not x on bool. Source: TFLite LOGICAL_NOT."""

    name: ClassVar[str] = "logical_not"

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_logical_not", for_types("bool"), traversal=elements_in_order),)

    def infer(self, node: Node) -> Sequence[Shape]:
        return [node["x"].shape]

    def check(self, node: Node) -> None:
        require_one_type(node, DType.BOOL)

    def eval_int(self, node: Node, *x: Array) -> Array:
        return np.logical_not(x[0])

    def rows(self, node: Node) -> Rows | str:
        return elementwise_rows(node)

    def slice_rows(self, node: Node, first: int, count: int, padded: bool) -> Node:
        return sliced(node, self, first, first + count, count)

    def call(self, node: Node) -> Call:
        return Call([Port("x"), Port("y")], {"n": node["y"].type.size})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for shape in SHAPES:
            yield make_node(cls(), {"x": TensorType(shape, DType.BOOL)}, (DType.BOOL, None))
