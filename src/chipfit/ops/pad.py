"""PAD and PADV2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Node, Quant, Shape
from chipfit.ops._base import Call, Const, Kernel, Port, register
from chipfit.ops._move import MAX_RANK, Move, require_rank, samples_of


@register
@dataclass(frozen=True)
class Pad(Move):
    """y = x with ``pads[axis] = (before, after)`` elements of ``value`` around it.

    x: up to 6 axes, any type. ``value`` is the stored element; None is the real number 0, which is the zero point of
    y in quantized tensors. Source: TFLite PAD and PADV2.
    """

    name: ClassVar[str] = "pad"

    pads: tuple[tuple[int, int], ...] = ()
    value: float | int | None = None

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_pad"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        if len(self.pads) != len(x.shape) or any(n < 0 for pair in self.pads for n in pair):
            raise ChipfitError("G003", f"pad: {list(self.pads)} are no paddings for '{x.name}' ({x.type})")
        return [tuple(size + before + after for size, (before, after) in zip(x.shape, self.pads, strict=True))]

    def check(self, node: Node) -> None:
        super().check(node)
        require_rank(node)

    def quantized(self, quant: Quant, dtype: DType = DType.INT8) -> Pad:
        """A value outside of the range becomes the nearest that there is."""
        if self.value is None:
            return self
        stored = np.clip(np.rint(self.value / quant.s) + quant.zp, *dtype.range)
        return replace(self, value=int(stored))

    def element(self, node: Node) -> float | int:
        """The stored element that the padding consists of."""
        y = node["y"]
        if self.value is not None:
            return self.value
        return 0 if y.dtype.is_float or y.type.quant is None else y.q.zp

    def move(self, node: Node, *x: Array) -> Array:
        return np.pad(x[0], self.pads, constant_values=self.element(node)) if self.pads else x[0]

    def call(self, node: Node) -> Call:
        x, y = node["x"], node["y"]
        axes = _merge(x.shape, self.pads)
        size, before, after = zip(*([(1, 0, 0)] * (MAX_RANK - len(axes)) + axes), strict=True)
        # sizes in runs of the last axis, paddings in elements
        inner = [prod(y_sizes) for y_sizes in _inner(size, before, after)]
        return Call(
            [Port("x"), Const("value", np.array([self.element(node)], y.dtype.numpy)), Port("y")],
            {
                "element": x.dtype.bytes,
                "bytes": size[-1] * x.dtype.bytes,
                "size": size[:-1],
                "before": tuple(n * i for n, i in zip(before, inner, strict=True)),
                "after": tuple(n * i for n, i in zip(after, inner, strict=True)),
            },
        )

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from samples_of(
            rng,
            [
                (cls(((1, 2),)), (5,)),
                (cls(((0, 0), (3, 0)), 7), (3, 4)),
                (cls(((1, 0), (0, 0), (0, 3))), (2, 3, 5)),
                (cls(((0, 0), (1, 2), (2, 1), (0, 0))), (2, 3, 5, 7)),
                (cls(((0, 0), (0, 1), (0, 1), (0, 3)), -3), (1, 4, 4, 1)),
                (cls(((1, 0), (0, 1), (2, 0), (0, 0), (1, 1))), (1, 2, 3, 2, 3)),
                (cls(((1, 1),) * 6), (1, 2, 1, 2, 1, 2)),
            ],
        )


def _merge(shape: Shape, pads: tuple[tuple[int, int], ...]) -> list[tuple[int, int, int]]:
    """``(size, before, after)`` of each axis, outermost first; axes without padding are merged into the one before."""
    axes: list[tuple[int, int, int]] = []
    for size, (before, after) in zip(shape, pads, strict=True):
        if axes and before == after == 0:
            outer, first, last = axes[-1]
            axes[-1] = (outer * size, first * size, last * size)
        else:
            axes.append((size, before, after))
    return axes


def _inner(size: Sequence[int], before: Sequence[int], after: Sequence[int]) -> Iterator[list[int]]:
    """For each axis, the sizes of the output along the axes within it."""
    out = [sum(axis) for axis in zip(size, before, after, strict=True)]
    for axis in range(len(out)):
        yield out[axis + 1 :]
