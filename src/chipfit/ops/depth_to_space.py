"""DEPTH_TO_SPACE."""

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
class DepthToSpace(Move):
    """y[n, h * block + i, w * block + j, c] = x[n, h, w, (i * block + j) * out + c]: channels become pixels.

    x: (n, h, w, block * block * out), any type. Source: TFLite DEPTH_TO_SPACE.
    """

    name: ClassVar[str] = "depth_to_space"

    block: int = 2

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_copy_strided"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        if len(x.shape) != 4 or self.block < 1 or x.shape[3] % self.block**2:
            raise ChipfitError("G003", f"depth_to_space: blocks of {self.block} do not fit '{x.name}' ({x.type})")
        n, h, w, c = x.shape
        return [(n, h * self.block, w * self.block, c // self.block**2)]

    def move(self, node: Node, *x: Array) -> Array:
        n, h, w, _ = x[0].shape
        out = node["y"].shape[3]
        blocks = x[0].reshape(n, h, w, self.block, self.block, out)
        return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(node["y"].shape)

    def call(self, node: Node) -> Call:
        (n, h, w, c), b = node["x"].shape, self.block
        run = c // b  # a row of a block lies together in both
        return strided_call(node["x"], 0, [(n * h, w * c), (b, run), (w, c), (run, 1)])

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        cases = [(2, (1, 1, 1, 4)), (2, (1, 3, 5, 12)), (3, (2, 2, 3, 9)), (1, (1, 2, 3, 5)), (4, (1, 2, 2, 32))]
        yield from samples_of(rng, [(cls(block), shape) for block, shape in cases])
