"""AVERAGE_POOL_2D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import divide_round_away
from chipfit.graph import Array, DType, Node
from chipfit.ops._activation import activation_float, activation_range
from chipfit.ops._base import Kernel, RowSums, for_types, register
from chipfit.ops._checks import require_int32_sums
from chipfit.ops._pool import Pool
from chipfit.ops._row_sums import image_row_sums
from chipfit.ops._steps import channels_in_order
from chipfit.ops._traversal import Rows


def _in_fours(node: Node) -> bool | str:
    """Four channels at a time, sums in 16 bits."""
    return "the channels are no multiple of 4" if node["x"].shape[3] % 4 else _sums_have_16_bits(node)


def _sums_have_16_bits(node: Node) -> bool | str:
    kernel: tuple[int, int] = node.op.attributes()["kernel"]
    return kernel[0] * kernel[1] <= 256 or "windows of more than 256 elements"


@register
@dataclass(frozen=True)
class AveragePool2D(Pool):
    """y = act(mean over the window); padding counts neither in the sum nor in the number of elements.

    x: (n, h, w, c), int8, int16 or float32; y has x's scale and zero point. Source: TFLite AVERAGE_POOL_2D; integers as
    in the TFLite Micro reference kernel: stored integers are averaged, halves rounded away from zero.
    """

    name: ClassVar[str] = "average_pool2d"
    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel(
            "cf_average_pool2d_s8_mve",
            for_types("int8"),
            frozenset({"mve"}),
            _sums_have_16_bits,
            traversal=channels_in_order,
        ),
        Kernel("cf_average_pool2d_s8_fours", for_types("int8"), when=_in_fours, traversal=channels_in_order),
        Kernel("cf_average_pool2d_s8", for_types("int8"), traversal=channels_in_order),
        Kernel("cf_average_pool2d_s16", for_types("int16"), traversal=channels_in_order),
        Kernel("cf_average_pool2d_f32", for_types("float32"), traversal=channels_in_order),
    )

    def check(self, node: Node) -> None:
        super().check(node)
        require_int32_sums(node, self.kernel[0] * self.kernel[1])

    def eval_float(self, node: Node, *x: Array) -> Array:
        mean = self.windows(x[0].astype(np.float32), 0.0).sum(axis=4) / self._counts(x[0])
        return activation_float(self.act, mean.astype(np.float32))

    def eval_int(self, node: Node, *x: Array) -> Array:
        sums = self.windows(x[0].astype(np.int64), 0).sum(axis=4)
        y = node["y"]
        return np.clip(divide_round_away(sums, self._counts(x[0])), *activation_range(self.act, y.dtype, y.q))

    def rows(self, node: Node) -> Rows | str:
        return super().rows(node) if self.row_sums(node) is None else "its only row is the mean of the whole image"

    def row_sums(self, node: Node) -> RowSums | None:
        """Only of a window that is the whole image."""
        x, y = node["x"], node["y"]
        if y.dtype not in (DType.INT8, DType.INT16) or self.kernel != x.shape[1:3] or any(self.pad):
            return None
        low, high = activation_range(self.act, y.dtype, y.q)
        params = {"count": x.shape[1] * x.shape[2], "act_min": low, "act_max": high}
        return image_row_sums(node, "average", params)

    def _counts(self, x: Array) -> Array:
        """Elements of each window that are inside the input."""
        return self.windows(np.ones_like(x[:1, :, :, :1], np.int64), 0).sum(axis=4)
