"""SPACE_TO_DEPTH."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Node, Shape
from chipfit.ops._base import Call, Kernel, register
from chipfit.ops._move import Move, samples_of, strided_call


@register
@dataclass(frozen=True)
class SpaceToDepth(Move):
    """y[n, h, w, (i * block + j) * in + c] = x[n, h * block + i, w * block + j, c]: pixels become channels.

    x: (n, h * block, w * block, in), any type. Source: TFLite SPACE_TO_DEPTH.
    """

    name: ClassVar[str] = "space_to_depth"

    block: int = 2

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy_strided"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        x, b = node["x"], self.block
        if len(x.shape) != 4 or b < 1 or x.shape[1] % b or x.shape[2] % b:
            raise ChipfitError("G003", f"space_to_depth: blocks of {b} do not fit '{x.name}' ({x.type})")
        n, h, w, c = x.shape
        return [(n, h // b, w // b, c * b * b)]

    def move(self, node: Node, *x: Array) -> Array:
        (n, h, w, c), b = x[0].shape, self.block
        blocks = x[0].reshape(n, h // b, b, w // b, b, c)
        return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(node["y"].shape)

    def call(self, node: Node) -> Call:
        (n, h, w, c), b = node["x"].shape, self.block
        # a row of a block lies together in both
        return strided_call(node["x"], 0, [(n * h // b, b * w * c), (w // b, b * c), (b, w * c), (b * c, 1)])

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        cases = [(2, (1, 2, 2, 1)), (2, (1, 6, 4, 3)), (3, (2, 3, 6, 2)), (1, (1, 2, 3, 5)), (4, (1, 8, 4, 5))]
        yield from samples_of(rng, [(cls(block), shape) for block, shape in cases])
