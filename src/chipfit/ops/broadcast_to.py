"""BROADCAST_TO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Node, Shape
from chipfit.ops._base import Call, Kernel, register
from chipfit.ops._move import MAX_RANK, Move, element_strides, samples_of, strided_call


@register
@dataclass(frozen=True)
class BroadcastTo(Move):
    """y has the shape ``shape``; x is repeated along the axes that it lacks, and along those where its size is 1.

    x: any type; y: up to 6 axes. Source: TFLite BROADCAST_TO.
    """

    name: ClassVar[str] = "broadcast_to"

    shape: tuple[int, ...] = ()

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy_strided"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        sizes = zip(x.shape[::-1], self.shape[::-1], strict=False)
        if len(x.shape) > len(self.shape) or any(size not in (1, wanted) for size, wanted in sizes):
            raise ChipfitError("G003", f"broadcast_to: '{x.name}' ({x.type}) cannot become {list(self.shape)}")
        return [self.shape]

    def check(self, node: Node) -> None:
        super().check(node)
        if len(self.shape) > MAX_RANK:
            raise ChipfitError("O002", f"broadcast_to '{node.name}': {list(self.shape)} has more than {MAX_RANK} axes")

    def move(self, node: Node, *x: Array) -> Array:
        return np.broadcast_to(x[0], self.shape)

    def call(self, node: Node) -> Call:
        x = node["x"]
        shape = (1,) * (len(self.shape) - len(x.shape)) + x.shape
        strides = [0 if size == 1 else stride for size, stride in zip(shape, element_strides(shape), strict=True)]
        return strided_call(x, 0, list(zip(self.shape, strides, strict=True)))

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from samples_of(
            rng,
            [
                (cls((5,)), (1,)),
                (cls((3, 7)), (7,)),
                (cls((2, 3, 4)), (2, 1, 4)),
                (cls((1, 3, 5, 4)), (1, 1, 1, 4)),
                (cls((2, 3, 4, 5)), (3, 1, 1)),
                (cls((2, 3)), (2, 3)),
                (cls((2, 2, 3, 2, 3)), (1, 3, 1, 3)),
            ],
        )
