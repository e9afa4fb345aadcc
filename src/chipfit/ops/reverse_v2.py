"""REVERSE_V2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Node, Shape
from chipfit.ops._base import Call, Kernel, register
from chipfit.ops._move import Move, element_strides, normal_axis, require_rank, samples_of, strided_call


@register
@dataclass(frozen=True)
class ReverseV2(Move):
    """y = x with the order of its elements turned round along ``axes``.

    x: up to 6 axes, any type. Source: TFLite REVERSE_V2, whose axes are neighbours.
    """

    name: ClassVar[str] = "reverse_v2"

    axes: tuple[int, ...] = ()

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy_strided"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        if len({normal_axis(self, axis, len(x.shape)) for axis in self.axes}) != len(self.axes):
            raise ChipfitError("G003", f"reverse_v2: an axis of '{x.name}' ({x.type}) is named twice: {self.axes}")
        return [x.shape]

    def check(self, node: Node) -> None:
        super().check(node)
        require_rank(node)

    def move(self, node: Node, *x: Array) -> Array:
        return np.flip(x[0], self.axes)

    def call(self, node: Node) -> Call:
        x = node["x"]
        start, axes = 0, list(zip(x.shape, element_strides(x.shape), strict=True))
        for axis in self.axes:
            size, stride = axes[axis]
            start, axes[axis] = start + (size - 1) * stride, (size, -stride)
        return strided_call(x, start, axes)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from samples_of(
            rng,
            [
                (cls((0,)), (5,)),
                (cls((1,)), (3, 7)),
                (cls((0, 1)), (3, 4)),
                (cls((2,)), (1, 3, 5, 4)),
                (cls((1, 2)), (2, 3, 4, 3)),
                (cls((3,)), (1, 2, 3, 5)),
                (cls((1, 2, 3)), (2, 3, 2, 3, 2)),
            ],
        )
