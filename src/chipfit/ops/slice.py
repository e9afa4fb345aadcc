"""SLICE."""

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
class Slice(Move):
    """y = the block of x that starts at ``begin`` and has ``size``.

    x: up to 6 axes, any type; ``size`` has no -1. Source: TFLite SLICE.
    """

    name: ClassVar[str] = "slice"

    begin: tuple[int, ...] = ()
    size: tuple[int, ...] = ()

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy_strided"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        fits = len(self.begin) == len(self.size) == len(x.shape) and all(
            begin >= 0 and size >= 0 and begin + size <= length
            for begin, size, length in zip(self.begin, self.size, x.shape, strict=True)
        )
        if not fits:
            raise ChipfitError(
                "G003",
                f"slice: begin {list(self.begin)} and size {list(self.size)} are outside of '{x.name}' ({x.type})",
            )
        return [self.size]

    def check(self, node: Node) -> None:
        super().check(node)
        require_rank(node)

    def move(self, node: Node, *x: Array) -> Array:
        return x[0][tuple(slice(b, b + s) for b, s in zip(self.begin, self.size, strict=True))]

    def call(self, node: Node) -> Call:
        x = node["x"]
        strides = element_strides(x.shape)
        start = sum(begin * stride for begin, stride in zip(self.begin, strides, strict=True))
        return strided_call(x, start, list(zip(self.size, strides, strict=True)))

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from samples_of(
            rng,
            [
                (cls((2,), (3,)), (7,)),
                (cls((1, 0), (2, 5)), (4, 5)),
                (cls((0, 1, 2), (2, 2, 3)), (2, 3, 5)),
                (cls((0, 1, 2, 0), (2, 1, 3, 4)), (2, 3, 5, 4)),
                (cls((1, 1, 1, 1, 1), (2, 1, 2, 1, 2)), (3, 2, 3, 2, 3)),
            ],
        )
