"""BATCH_TO_SPACE_ND."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Node, Shape
from chipfit.ops._base import Call, Kernel, Port, register
from chipfit.ops._blocks import Margins, block_params, require_blocks
from chipfit.ops._move import Move, samples_of


@register
@dataclass(frozen=True)
class BatchToSpaceNd(Move):
    """Images become pixels, the inverse of SPACE_TO_BATCH_ND; ``crops`` rows and columns (before, after) are cut off.

    x: (n * prod(block), rows, columns, ...) or, for blocks of one axis, (n * block, columns, ...), any type.
    Source: TFLite BATCH_TO_SPACE_ND.
    """

    name: ClassVar[str] = "batch_to_space_nd"

    block: tuple[int, ...] = (1, 1)
    crops: Margins = ((0, 0), (0, 0))

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_batch_to_space_nd"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        x, axes = node["x"], len(self.block)
        require_blocks(self, x, self.block, self.crops)
        sizes = zip(x.shape[1 : 1 + axes], self.block, self.crops, strict=True)
        left = [size * b - sum(crop) for size, b, crop in sizes]
        if x.shape[0] % prod(self.block) or min(left) < 1:
            raise ChipfitError(
                "G003",
                f"batch_to_space_nd: blocks {list(self.block)} and crops {list(self.crops)} do not fit "
                f"'{x.name}' ({x.type})",
            )
        return [(x.shape[0] // prod(self.block), *left, *x.shape[1 + axes :])]

    def move(self, node: Node, *x: Array) -> Array:
        axes, y = len(self.block), node["y"]
        sizes, rest = x[0].shape[1 : 1 + axes], x[0].shape[1 + axes :]
        blocks = x[0].reshape(*self.block, y.shape[0], *sizes, *rest)
        order = [axes, *(i for axis in range(axes) for i in (axes + 1 + axis, axis))]
        whole = blocks.transpose(*order, *range(len(order), blocks.ndim))
        whole = whole.reshape(y.shape[0], *(n * b for n, b in zip(sizes, self.block, strict=True)), *rest)
        kept = zip(self.crops, y.shape[1 : 1 + axes], strict=True)
        return whole[(slice(None), *(slice(before, before + size) for (before, _), size in kept))]

    def call(self, node: Node) -> Call:
        return Call([Port("x"), Port("y")], block_params(node, self.block, tuple(before for before, _ in self.crops)))

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from samples_of(
            rng,
            [
                (cls((2, 2)), (4, 1, 1, 1)),
                (cls((2, 2), ((1, 2), (0, 1))), (4, 3, 3, 3)),
                (cls((3, 1), ((2, 1), (0, 0))), (6, 2, 2, 4)),
                (cls((2, 4), ((0, 0), (3, 3))), (16, 2, 2, 1)),
                (cls((2,), ((1, 2),)), (2, 4, 3)),
                (cls((4,), ((0, 0),)), (8, 2, 2)),
            ],
        )
