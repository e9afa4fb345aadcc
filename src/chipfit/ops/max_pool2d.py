"""MAX_POOL_2D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._activation import activation_float, activation_range
from chipfit.ops._base import Kernel, for_types, register
from chipfit.ops._pool import Pool
from chipfit.ops._steps import channels_in_order


@register
@dataclass(frozen=True)
class MaxPool2D(Pool):
    """y = act(greatest element of the window); padding is never the greatest.

    x: (n, h, w, c), int8, int16 or float32; y has x's scale and zero point. Source: TFLite MAX_POOL_2D.
    """

    name: ClassVar[str] = "max_pool2d"
    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel("cf_max_pool2d_s8_mve", for_types("int8"), frozenset({"mve"}), traversal=channels_in_order),
        Kernel("cf_max_pool2d_s8", for_types("int8"), traversal=channels_in_order),
        Kernel("cf_max_pool2d_s16", for_types("int16"), traversal=channels_in_order),
        Kernel("cf_max_pool2d_f32", for_types("float32"), traversal=channels_in_order),
    )

    def eval_float(self, node: Node, *x: Array) -> Array:
        return activation_float(self.act, self.windows(x[0].astype(np.float32), -np.inf).max(axis=4))

    def eval_int(self, node: Node, *x: Array) -> Array:
        y = node["y"]
        greatest = self.windows(x[0].astype(np.int64), y.dtype.range[0]).max(axis=4)
        return np.clip(greatest, *activation_range(self.act, y.dtype, y.q))
