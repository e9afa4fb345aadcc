"""CONCATENATION."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Node, Shape, TensorType
from chipfit.ops._activation import Activation
from chipfit.ops._base import Call, Kernel, Port, make_node, register
from chipfit.ops._move import Move, normal_axis, require_same_quant, rows_call, sample_types


@register
@dataclass(frozen=True)
class Concatenation(Move):
    """y = the inputs one behind the other along ``axis``.

    Inputs: any type and number, equal on all other axes, with the quantization of y. ``act`` must be none, as in
    the reference kernels. Source: TFLite CONCATENATION.
    """

    name: ClassVar[str] = "concatenation"
    inputs: ClassVar[tuple[str, ...]] = ("*xs",)

    axis: int = 0
    act: Activation = "none"

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy_rows"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        if not node.operands:
            raise ChipfitError("G003", "concatenation needs at least one input")
        first = node.operands[0]
        axis = normal_axis(self, self.axis, len(first.shape))
        total = 0
        for x in node.operands:
            if x.shape[:axis] + x.shape[axis + 1 :] != first.shape[:axis] + first.shape[axis + 1 :]:
                raise ChipfitError(
                    "G003",
                    f"concatenation: '{first.name}' ({first.type}) and '{x.name}' ({x.type}) differ beside axis {axis}",
                )
            total += x.shape[axis]
        return [(*first.shape[:axis], total, *first.shape[axis + 1 :])]

    def check(self, node: Node) -> None:
        require_same_quant(node)
        if self.act != "none":
            raise ChipfitError(
                "O002",
                f"concatenation '{node.name}' has the fused activation {self.act}",
                "the reference kernels refuse it; put the activation into an operator of its own",
            )

    def move(self, node: Node, *x: Array) -> Array:
        return np.concatenate(x, axis=self.axis)

    def call(self, node: Node) -> list[Call]:
        y = node["y"]
        inner = prod(y.shape[self.axis + 1 :]) * y.dtype.bytes
        stride, calls, at = y.shape[self.axis] * inner, list[Call](), 0
        for index, x in enumerate(node.operands):
            chunk = x.shape[self.axis] * inner
            rows = prod(y.shape[: self.axis])
            calls.append(rows_call(Port("xs", index), Port("y", offset=at), rows, chunk, chunk, stride))
            at += chunk
        return calls

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        cases: list[tuple[int, list[Shape]]] = [
            (0, [(3,)]),
            (0, [(3,), (5,)]),
            (1, [(3, 1), (3, 4), (3, 2)]),
            (2, [(2, 3, 5), (2, 3, 1)]),
            (3, [(1, 3, 5, 7), (1, 3, 5, 3), (1, 3, 5, 1)]),
            (1, [(2, 3, 1, 2, 3), (2, 1, 1, 2, 3)]),
        ]
        for axis, shapes in cases:
            for kind in sample_types(rng, 1):
                inputs = [TensorType(shape, kind.dtype, kind.quant) for shape in shapes]
                yield make_node(cls(axis), inputs, (kind.dtype, kind.quant))
