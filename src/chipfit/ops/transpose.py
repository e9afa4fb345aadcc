"""TRANSPOSE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Node, Shape
from chipfit.ops._base import Call, Kernel, register
from chipfit.ops._move import Move, element_strides, require_rank, samples_of, strided_call


@register
@dataclass(frozen=True)
class Transpose(Move):
    """Axis i of y is axis ``perm[i]`` of x.

    x: up to 6 axes, any type. Axes that stay neighbours are merged before the kernel sees them.
    Source: TFLite TRANSPOSE.
    """

    name: ClassVar[str] = "transpose"

    perm: tuple[int, ...] = ()

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy_strided"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        if sorted(self.perm) != list(range(len(x.shape))):
            raise ChipfitError("G003", f"transpose: {list(self.perm)} is no order of the axes of '{x.name}' ({x.type})")
        return [tuple(x.shape[axis] for axis in self.perm)]

    def check(self, node: Node) -> None:
        super().check(node)
        require_rank(node)

    def move(self, node: Node, *x: Array) -> Array:
        return x[0].transpose(self.perm)

    def call(self, node: Node) -> Call:
        x = node["x"]
        strides = element_strides(x.shape)
        return strided_call(x, 0, [(x.shape[axis], strides[axis]) for axis in self.perm])

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from samples_of(
            rng,
            [
                (cls((0,)), (5,)),
                (cls((1, 0)), (3, 7)),
                (cls((0, 2, 1)), (2, 5, 3)),
                (cls((0, 3, 1, 2)), (1, 5, 3, 4)),
                (cls((0, 2, 3, 1)), (2, 3, 4, 5)),
                (cls((4, 3, 2, 1, 0)), (2, 1, 3, 2, 5)),
                (cls((1, 0, 3, 2, 5, 4)), (2, 3, 2, 3, 2, 3)),
            ],
        )
