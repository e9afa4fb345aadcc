"""RESIZE_NEAREST_NEIGHBOR."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import round_half_away
from chipfit.graph import Array, Node
from chipfit.ops._base import Call, Const, Kernel, Port, register
from chipfit.ops._resize import Resize, resize_samples


@register
@dataclass(frozen=True)
class ResizeNearest(Resize):
    """y[n, i, j] = the pixel of x nearest to where (i, j) lies in it. x: (n, h, w, c), any element type.

    Source: TFLite RESIZE_NEAREST_NEIGHBOR; positions are float32, at compile time.
    """

    name: ClassVar[str] = "resize_nearest"

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_resize_nearest"),)

    @property
    def target(self) -> tuple[int, int]:
        return self.size

    @property
    def both_modes(self) -> bool:
        return False

    def eval_float(self, node: Node, *x: Array) -> Array:
        return self.eval_int(node, *x)

    def eval_int(self, node: Node, *x: Array) -> Array:
        rows, columns = self._sources(x[0].shape[1], self.size[0]), self._sources(x[0].shape[2], self.size[1])
        return x[0][:, rows][:, :, columns]

    def _sources(self, size: int, target: int) -> Array:
        """The input index of every output index along one axis."""
        one = np.float32(1)
        if self.align_corners and target > 1:
            scale = np.float32(size - 1) / np.float32(target - 1)
        else:
            scale = np.float32(size) / np.float32(target)
        position = (np.arange(target, dtype=np.float32) + (one / 2 if self.half_pixel_centers else 0 * one)) * scale
        nearest = round_half_away(position) if self.align_corners else np.floor(position)
        return np.clip(nearest.astype(np.int64), 0, size - 1)

    def call(self, node: Node) -> Call:
        n, h, w, c = node["x"].shape
        rows = Const("rows", self._sources(h, self.size[0]).astype(np.uint16))
        columns = Const("columns", self._sources(w, self.size[1]).astype(np.uint16))
        params = {
            "n": n,
            "in_h": h,
            "in_w": w,
            "out_h": self.size[0],
            "out_w": self.size[1],
            "pixel": c * node["x"].dtype.bytes,
        }
        return Call([Port("x"), rows, columns, Port("y")], params)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from resize_samples(rng, cls)
