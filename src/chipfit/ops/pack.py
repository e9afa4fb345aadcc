"""PACK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Node, Shape, TensorType
from chipfit.ops._base import Call, Kernel, Port, make_node, register
from chipfit.ops._move import Move, normal_axis, require_same_quant, rows_call, sample_types


@register
@dataclass(frozen=True)
class Pack(Move):
    """y = the inputs side by side along a new axis.

    Inputs: any type and number, all of one shape, with the quantization of y. Source: TFLite PACK.
    """

    name: ClassVar[str] = "pack"
    inputs: ClassVar[tuple[str, ...]] = ("*xs",)

    axis: int = 0

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy_rows"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        if not node.operands:
            raise ChipfitError("G003", "pack needs at least one input")
        first = node.operands[0]
        axis = normal_axis(self, self.axis, len(first.shape) + 1)
        for x in node.operands:
            if x.shape != first.shape:
                raise ChipfitError(
                    "G003", f"pack: '{first.name}' ({first.type}) and '{x.name}' ({x.type}) differ in shape"
                )
        return [(*first.shape[:axis], len(node.operands), *first.shape[axis:])]

    def check(self, node: Node) -> None:
        require_same_quant(node)

    def move(self, node: Node, *x: Array) -> Array:
        return np.stack(x, axis=self.axis)

    def call(self, node: Node) -> list[Call]:
        y = node["y"]
        rows = prod(y.shape[: self.axis])
        chunk = prod(y.shape[self.axis + 1 :]) * y.dtype.bytes
        stride = chunk * y.shape[self.axis]
        return [
            rows_call(Port("xs", i), Port("y", offset=i * chunk), rows, chunk, chunk, stride)
            for i in range(len(node.operands))
        ]

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        cases: list[tuple[int, int, Shape]] = [
            (0, 3, ()),
            (0, 2, (5,)),
            (1, 3, (5,)),
            (2, 2, (3, 5, 7)),
            (4, 5, (1, 2, 3, 1)),
        ]
        for axis, count, shape in cases:
            for kind in sample_types(rng, *shape):
                inputs = [TensorType(shape, kind.dtype, kind.quant)] * count
                yield make_node(cls(axis), inputs, (kind.dtype, kind.quant))
