"""SPACE_TO_BATCH_ND."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Node, Shape
from chipfit.ops._base import Call, Const, Kernel, Port, register
from chipfit.ops._blocks import Margins, block_params, require_blocks
from chipfit.ops._move import Move, samples_of


@register
@dataclass(frozen=True)
class SpaceToBatchNd(Move):
    """y[(i * block[1] + j) * n + b, h, w] = padded x[b, h * block[0] + i, w * block[1] + j]: pixels become images.

    x: (n, rows, columns, ...) or, for blocks of one axis, (n, columns, ...), any type. ``pads`` are rows and columns
    (before, after) of the real number 0, which is the zero point of y in quantized tensors.
    Source: TFLite SPACE_TO_BATCH_ND.
    """

    name: ClassVar[str] = "space_to_batch_nd"

    block: tuple[int, ...] = (1, 1)
    pads: Margins = ((0, 0), (0, 0))

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_space_to_batch_nd"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        x, axes = node["x"], len(self.block)
        require_blocks(self, x, self.block, self.pads)
        padded = [size + sum(pad) for size, pad in zip(x.shape[1 : 1 + axes], self.pads, strict=True)]
        if any(size % b for size, b in zip(padded, self.block, strict=True)):
            raise ChipfitError(
                "G003", f"space_to_batch_nd: '{x.name}' ({x.type}), padded to {padded}, is not of blocks {self.block}"
            )
        inside = [size // b for size, b in zip(padded, self.block, strict=True)]
        return [(x.shape[0] * prod(self.block), *inside, *x.shape[1 + axes :])]

    def fill(self, node: Node) -> int:
        """The stored element that the padding consists of."""
        y = node["y"]
        return 0 if y.dtype.is_float or y.type.quant is None else y.q.zp

    def move(self, node: Node, *x: Array) -> Array:
        axes, y = len(self.block), node["y"]
        rest = x[0].shape[1 + axes :]
        padded = np.pad(x[0], ((0, 0), *self.pads, *((0, 0),) * len(rest)), constant_values=self.fill(node))
        split = [n for size, b in zip(y.shape[1 : 1 + axes], self.block, strict=True) for n in (size, b)]
        order = [*range(2, 2 + 2 * axes, 2), 0, *range(1, 1 + 2 * axes, 2)]
        blocks = padded.reshape(x[0].shape[0], *split, *rest)
        return blocks.transpose(*order, *range(len(order), blocks.ndim)).reshape(y.shape)

    def call(self, node: Node) -> Call:
        y = node["y"]
        params = block_params(node, self.block, tuple(before for before, _ in self.pads))
        value = Const("value", np.array([self.fill(node)], y.dtype.numpy))
        return Call([Port("x"), value, Port("y")], {**params, "element": y.dtype.bytes})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from samples_of(
            rng,
            [
                (cls((2, 2)), (1, 2, 2, 1)),
                (cls((2, 2), ((1, 2), (0, 1))), (1, 3, 5, 3)),
                (cls((3, 1), ((2, 1), (0, 0))), (2, 3, 2, 4)),
                (cls((2, 4), ((0, 0), (3, 3))), (2, 4, 2, 1)),
                (cls((2,), ((1, 2),)), (1, 5, 3)),
                (cls((4,), ((0, 0),)), (2, 8, 2)),
            ],
        )
