"""MIRROR_PAD."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Node, Shape
from chipfit.ops._base import Call, Const, Kernel, Port, register
from chipfit.ops._move import MAX_RANK, Move, element_strides, require_rank, samples_of


@register
@dataclass(frozen=True)
class MirrorPad(Move):
    """y = x with ``pads[axis] = (before, after)`` elements around it, mirrored at its borders.

    ``reflect`` does not repeat the element at the border, ``symmetric`` does: 3 2 | 1 2 3 and 2 1 | 1 2 3.
    x: up to 6 axes, any type; no padding is wider than what it mirrors. Source: TFLite MIRROR_PAD.
    """

    name: ClassVar[str] = "mirror_pad"

    pads: tuple[tuple[int, int], ...] = ()
    mode: Literal["reflect", "symmetric"] = "reflect"

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_mirror_pad"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        x, border = node["x"], int(self.mode == "reflect")
        fits = len(self.pads) == len(x.shape) and all(
            before >= 0 and after >= 0 and max(before, after) <= (size - border if before or after else size)
            for size, (before, after) in zip(x.shape, self.pads, strict=False)
        )
        if not fits:
            raise ChipfitError(
                "G003", f"mirror_pad: {list(self.pads)} are no paddings ({self.mode}) for '{x.name}' ({x.type})"
            )
        return [tuple(size + before + after for size, (before, after) in zip(x.shape, self.pads, strict=True))]

    def check(self, node: Node) -> None:
        super().check(node)
        require_rank(node)

    def move(self, node: Node, *x: Array) -> Array:
        return np.pad(x[0], self.pads, mode=self.mode) if self.pads else x[0]

    def call(self, node: Node) -> Call:
        """Axes behind the last one with padding are one run of bytes."""
        x, nbytes = node["x"], node["x"].dtype.bytes
        last = max((axis for axis, pad in enumerate(self.pads) if any(pad)), default=-1)
        strides = element_strides(x.shape)
        run = strides[last] if last >= 0 else x.type.size
        tables = [
            np.pad(np.arange(x.shape[axis]), self.pads[axis], mode=self.mode) * strides[axis] * nbytes
            for axis in range(last + 1)
        ]
        sizes = [1] * (MAX_RANK - len(tables)) + [len(table) for table in tables]
        missing = [np.zeros(MAX_RANK - len(tables), np.int64)]
        offsets = Const("offsets", np.concatenate([*missing, *tables]).astype(np.int32))
        return Call([Port("x"), offsets, Port("y")], {"bytes": run * nbytes, "size": tuple(sizes)})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from samples_of(
            rng,
            [
                (cls(((1, 2),)), (5,)),
                (cls(((0, 0), (3, 0)), "symmetric"), (3, 4)),
                (cls(((0, 0), (1, 2), (2, 1), (0, 0))), (2, 3, 5, 7)),
                (cls(((0, 0), (2, 1), (3, 2), (0, 0)), "symmetric"), (1, 2, 3, 4)),
                (cls(((0, 0), (0, 0), (2, 2), (1, 1))), (1, 2, 3, 2)),
                (cls(((1, 1), (0, 1), (1, 0), (0, 0), (1, 1)), "symmetric"), (1, 2, 2, 1, 2)),
            ],
        )
