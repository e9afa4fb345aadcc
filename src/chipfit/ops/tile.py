"""TILE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Node, Shape
from chipfit.ops._base import Call, Kernel, register
from chipfit.ops._move import MAX_RANK, Move, element_strides, merge_strided, samples_of, strided_call


@register
@dataclass(frozen=True)
class Tile(Move):
    """y = x, ``multiples[axis]`` times along each axis.

    x: any type; an axis that is repeated counts twice, unless its size is 1: together they may be 6, besides those
    that lie within the last of them. Source: TFLite TILE.
    """

    name: ClassVar[str] = "tile"

    multiples: tuple[int, ...] = ()

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy_strided"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        if len(self.multiples) != len(x.shape) or any(m < 1 for m in self.multiples):
            raise ChipfitError("G003", f"tile: '{x.name}' ({x.type}) cannot be repeated {list(self.multiples)} times")
        return [tuple(size * m for size, m in zip(x.shape, self.multiples, strict=True))]

    def check(self, node: Node) -> None:
        super().check(node)
        merged = merge_strided(self._axes(node))
        if len(merged) - (1 if merged and merged[-1][1] == 1 else 0) > MAX_RANK:
            x = node["x"]
            raise ChipfitError("O002", f"tile '{node.name}': '{x.name}' ({x.type}) is repeated along too many axes")

    def _axes(self, node: Node) -> list[tuple[int, int]]:
        """(size, stride) of the loops over y; the copies along an axis are a loop of stride 0."""
        shape = node["x"].shape
        axes: list[tuple[int, int]] = []
        for size, stride, count in zip(shape, element_strides(shape), self.multiples, strict=True):
            axes += [(count, 0), (size, stride)]
        return axes

    def move(self, node: Node, *x: Array) -> Array:
        return np.tile(x[0], self.multiples)

    def call(self, node: Node) -> Call:
        return strided_call(node["x"], 0, self._axes(node))

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from samples_of(
            rng,
            [
                (cls((3,)), (5,)),
                (cls((2, 1)), (3, 4)),
                (cls((1, 3)), (3, 4)),
                (cls((2, 3)), (2, 5)),
                (cls((1, 2, 3, 1)), (1, 2, 3, 5)),
                (cls((1, 4, 4, 1)), (1, 1, 1, 6)),
                (cls((2, 1, 2, 2)), (2, 3, 2, 3)),
            ],
        )
