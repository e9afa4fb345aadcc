"""SPLIT and SPLIT_V."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Node, Shape
from chipfit.ops._base import Call, Kernel, Port, register
from chipfit.ops._move import Move, normal_axis, rows_call, samples_of


@register
@dataclass(frozen=True)
class Split(Move):
    """The outputs are x cut along ``axis`` into pieces of ``sizes``.

    x: any shape and type. Source: TFLite SPLIT and SPLIT_V.
    """

    name: ClassVar[str] = "split"
    outputs: ClassVar[tuple[str, ...]] = ("*ys",)

    axis: int = 0
    sizes: tuple[int, ...] = ()

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy_rows"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        axis = normal_axis(self, self.axis, len(x.shape))
        if min(self.sizes, default=-1) < 0 or sum(self.sizes) != x.shape[axis]:
            raise ChipfitError(
                "G003", f"split: {list(self.sizes)} do not add up to axis {axis} of '{x.name}' ({x.type})"
            )
        return [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in self.sizes]

    def move(self, node: Node, *x: Array) -> tuple[Array, ...]:
        return tuple(np.split(x[0], np.cumsum(self.sizes)[:-1], axis=self.axis))

    def call(self, node: Node) -> list[Call]:
        x = node["x"]
        rows = prod(x.shape[: self.axis])
        inner = prod(x.shape[self.axis + 1 :]) * x.dtype.bytes
        stride, calls, at = x.shape[self.axis] * inner, list[Call](), 0
        for index, size in enumerate(self.sizes):
            chunk = size * inner
            calls.append(rows_call(Port("x", offset=at), Port("ys", index), rows, chunk, stride, chunk))
            at += chunk
        return calls

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from samples_of(
            rng,
            [
                (cls(0, (1,)), (1,)),
                (cls(0, (2, 3)), (5,)),
                (cls(1, (1, 1, 1)), (5, 3)),
                (cls(2, (4, 1, 2)), (2, 3, 7)),
                (cls(1, (2, 1)), (1, 3, 5, 2)),
                (cls(3, (3, 3)), (2, 1, 3, 6, 1)),
            ],
        )
