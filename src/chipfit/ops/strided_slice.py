"""STRIDED_SLICE."""

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
class StridedSlice(Move):
    """y = x at ``range(begin, end, stride)`` of each axis, without the axes ``shrink_axes``.

    x: up to 6 axes, any type. The fields are normalised: no masks, every index inside x; with a negative stride an
    ``end`` of -1 means: down to element 0. The axes that go have stride 1 (with a negative one the TFLite kernels
    write nothing). Source: TFLite STRIDED_SLICE.
    """

    name: ClassVar[str] = "strided_slice"

    begin: tuple[int, ...] = ()
    end: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    shrink_axes: tuple[int, ...] = ()

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy_strided"),)

    def ranges(self) -> list[range]:
        """The indices that are taken along each axis."""
        return [range(*fields) for fields in zip(self.begin, self.end, self.strides, strict=True)]

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        if not self._fits(x.shape):
            raise ChipfitError(
                "G003",
                f"strided_slice: begin {list(self.begin)}, end {list(self.end)}, strides {list(self.strides)} and "
                f"removed axes {list(self.shrink_axes)} do not fit '{x.name}' ({x.type})",
            )
        return [tuple(len(r) for axis, r in enumerate(self.ranges()) if axis not in self.shrink_axes)]

    def _fits(self, shape: Shape) -> bool:
        if {len(self.begin), len(self.end), len(self.strides)} != {len(shape)} or 0 in self.strides:
            return False
        axes = range(len(shape))
        inside = all(i in range(size) for r, size in zip(self.ranges(), shape, strict=True) for i in (*r[:1], *r[-1:]))
        removed = [(self.begin[axis], self.end[axis], self.strides[axis]) for axis in self.shrink_axes if axis in axes]
        single = len(removed) == len(self.shrink_axes) and all(e == b + 1 and s == 1 for b, e, s in removed)
        return inside and single

    def check(self, node: Node) -> None:
        super().check(node)
        require_rank(node)

    def move(self, node: Node, *x: Array) -> Array:
        y = x[0]
        for axis, r in enumerate(self.ranges()):
            y = y.take(np.arange(r.start, r.stop, r.step), axis)
        return y.reshape(node["y"].shape)

    def call(self, node: Node) -> Call:
        x = node["x"]
        strides, ranges = element_strides(x.shape), self.ranges()
        empty = any(len(r) == 0 for r in ranges)
        start = 0 if empty else sum(r.start * stride for r, stride in zip(ranges, strides, strict=True))
        return strided_call(x, start, [(len(r), r.step * stride) for r, stride in zip(ranges, strides, strict=True)])

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from samples_of(
            rng,
            [
                (cls((1,), (6,), (2,)), (7,)),
                (cls((6,), (-1,), (-1,)), (7,)),
                (cls((0, 4), (3, 0), (1, -3)), (3, 5)),
                (cls((1, 0, 1), (2, 3, 5), (1, 1, 3), (0,)), (2, 3, 5)),
                (cls((0, 1, 0, 0), (1, 3, 5, 4), (1, 1, 1, 1)), (1, 3, 5, 4)),
                (cls((0, 2, 0, 3), (2, -1, 5, 4), (1, -2, 2, 1), (3,)), (2, 3, 5, 4)),
                (cls((1, 0, 2, 0, 2), (3, 2, -1, 2, -1), (1, 1, -1, 1, -2)), (3, 2, 3, 2, 3)),
            ],
        )
