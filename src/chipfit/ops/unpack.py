"""UNPACK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node, Shape
from chipfit.ops._base import Call, Kernel, Port, register
from chipfit.ops._move import Move, normal_axis, rows_call, samples_of


@register
@dataclass(frozen=True)
class Unpack(Move):
    """The outputs are the slices of x along ``axis``, which they no longer have.

    x: any shape and type. Source: TFLite UNPACK. LiteRT refuses outputs whose quantization is not that of x, the
    TFLite Micro kernel copies; we follow the latter.
    """

    name: ClassVar[str] = "unpack"
    outputs: ClassVar[tuple[str, ...]] = ("*ys",)

    axis: int = 0

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy_rows"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        axis = normal_axis(self, self.axis, len(x.shape))
        return [(*x.shape[:axis], *x.shape[axis + 1 :])] * x.shape[axis]

    def move(self, node: Node, *x: Array) -> tuple[Array, ...]:
        return tuple(np.moveaxis(x[0], self.axis, 0))

    def call(self, node: Node) -> list[Call]:
        x = node["x"]
        rows = prod(x.shape[: self.axis])
        chunk = prod(x.shape[self.axis + 1 :]) * x.dtype.bytes
        stride = chunk * x.shape[self.axis]
        return [
            rows_call(Port("x", offset=i * chunk), Port("ys", i), rows, chunk, stride, chunk)
            for i in range(x.shape[self.axis])
        ]

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from samples_of(
            rng,
            [(cls(0), (3,)), (cls(0), (2, 5)), (cls(1), (5, 3)), (cls(2), (2, 3, 5, 1)), (cls(4), (1, 2, 3, 1, 2))],
        )
