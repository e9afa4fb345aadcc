"""RESIZE_BILINEAR."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import rounding_divide_by_pot
from chipfit.graph import Array, DType, Node
from chipfit.ops._base import Call, Const, Kernel, Port, for_types, register
from chipfit.ops._resize import Resize, resize_samples
from chipfit.ops._types import require_one_type


@register
@dataclass(frozen=True)
class ResizeBilinear(Resize):
    """y[n, i, j] = the four pixels of x around where (i, j) lies in it, weighted.

    x: (n, h, w, c), int8, int16 or float32. Source: TFLite RESIZE_BILINEAR; int8 as in the TFLite Micro and LiteRT
    reference kernels, int16 as in LiteRT's (TFLite Micro has none): positions and weights have 10 fraction bits, one
    rounding with halves away from zero. A position beyond the last pixel, which their rounded
    step can lead to when enlarging by more than about 100, reads the last pixel here; they read behind the image.
    """

    name: ClassVar[str] = "resize_bilinear"

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False

    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel("cf_resize_bilinear_s8", for_types("int8")),
        Kernel("cf_resize_bilinear_s16", for_types("int16")),
        Kernel("cf_resize_bilinear_f32", for_types("float32"), call=lambda node: _float_call(node)),
    )

    @property
    def target(self) -> tuple[int, int]:
        return self.size

    @property
    def both_modes(self) -> bool:
        return self.align_corners and self.half_pixel_centers

    def check(self, node: Node) -> None:
        super().check(node)
        require_one_type(node, DType.INT8, DType.INT16, DType.FLOAT32)

    def eval_float(self, node: Node, *x: Array) -> Array:
        (top, bottom, fy), (left, right, fx) = self.positions(node)
        fy, fx, one = fy[:, None, None], fx[:, None], np.float32(1)
        upper, lower = x[0][:, top], x[0][:, bottom]
        return (
            upper[:, :, left] * (one - fy) * (one - fx)
            + lower[:, :, left] * fy * (one - fx)
            + upper[:, :, right] * (one - fy) * fx
            + lower[:, :, right] * fy * fx
        )

    def eval_int(self, node: Node, *x: Array) -> Array:
        _, h, w, _ = node["x"].shape
        v = x[0].astype(np.int64)
        for axis, size, target in ((1, h, self.size[0]), (2, w, self.size[1])):
            first, second, weight = self.taps(size, target)
            weight = weight.reshape([-1 if i == axis else 1 for i in range(4)])
            v = v.take(first, axis) * (1024 - weight) + v.take(second, axis) * weight
        return rounding_divide_by_pot(v, 20)

    def taps(self, size: int, target: int) -> tuple[Array, Array, Array]:
        """Of each pixel of a resized line: the pixels before and behind it, and what the latter counts, of 1024."""
        step, start = self._grid(size, target)
        position = np.clip(np.arange(target) * step + start, 0, (size - 1) << 10)
        first = position >> 10
        return first, np.minimum(first + 1, size - 1), position & 1023

    def _grid(self, size: int, target: int) -> tuple[int, int]:
        """Step from pixel to pixel and position of the first, times 1024."""
        a, b = (size - 1, target - 1) if self.align_corners and target > 1 else (size, target)
        step = ((a << 10) + b // 2) // b
        return step, step // 2 - 512 if self.half_pixel_centers else 0

    def positions(self, node: Node) -> list[tuple[Array, Array, Array]]:
        """Per axis: the input index before, the one behind, and the distance from the first; all in float32."""
        found: list[tuple[Array, Array, Array]] = []
        for size, target in zip(node["x"].shape[1:3], self.size, strict=True):
            a, b = (size - 1, target - 1) if self.align_corners and target > 1 else (size, target)
            scale, half = np.float32(a) / np.float32(b), np.float32(0.5)
            position = np.arange(target, dtype=np.float32)
            position = (position + half) * scale - half if self.half_pixel_centers else position * scale
            before = np.clip(np.floor(position), 0, size - 1).astype(np.int64)
            behind = np.minimum(np.ceil(position), size - 1).astype(np.int64)
            found.append((before, behind, position - before.astype(np.float32)))
        return found

    def call(self, node: Node) -> Call:
        _, h, w, _ = node["x"].shape
        (step_h, start_h), (step_w, start_w) = self._grid(h, self.size[0]), self._grid(w, self.size[1])
        steps = {"step_h": step_h, "step_w": step_w, "start_h": start_h, "start_w": start_w}
        return Call([Port("x"), Port("y")], {**_sizes(node), **steps})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from resize_samples(rng, cls)


def _sizes(node: Node) -> dict[str, int]:
    (n, h, w, c), (_, out_h, out_w, _) = node["x"].shape, node["y"].shape
    return {"n": n, "in_h": h, "in_w": w, "out_h": out_h, "out_w": out_w, "c": c}


def _float_call(node: Node) -> Call:
    if not isinstance(node.op, ResizeBilinear):
        raise TypeError(f"{node} is no resize_bilinear")
    (top, bottom, fy), (left, right, fx) = node.op.positions(node)
    tables = [
        Const("rows", np.stack([top, bottom]).astype(np.uint16)),
        Const("columns", np.stack([left, right]).astype(np.uint16)),
        Const("down", fy.astype(np.float32)),
        Const("along", fx.astype(np.float32)),
    ]
    return Call([Port("x"), *tables, Port("y")], _sizes(node))
