"""HARD_SWISH."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import (
    high_multiply16,
    multiplier16,
    rounding_divide_by_pot,
    rounding_high_multiply16,
    saturate16,
)
from chipfit.graph import Array, DType, Node
from chipfit.ops._base import Kernel, for_types, register
from chipfit.ops._lookup import lookup_kernel
from chipfit.ops._roles import OWN_INT8, Roles
from chipfit.ops._steps import elements_in_order
from chipfit.ops._unary import Unary, unary_samples


@register
@dataclass(frozen=True)
class HardSwish(Unary):
    """y = x * min(max(x + 3, 0), 6) / 6.

    Source: TFLite HARD_SWISH; int8 as in the TFLite Micro reference kernel: 16-bit fixed point, where 1/6 and the
    bounds at -3 and 3 come from a saturating scale on which 3 is 2**15. Multipliers are double quotients (LiteRT:
    float32 quotients, so that a 16-bit multiplier can differ by one).
    """

    name: ClassVar[str] = "hard_swish"
    quant: ClassVar[Roles] = OWN_INT8

    kernels: ClassVar[tuple[Kernel, ...]] = (
        lookup_kernel(),
        Kernel("cf_hard_swish_f32", for_types("float32"), traversal=elements_in_order),
    )

    def check(self, node: Node) -> None:
        super().check(node)
        x, y = node["x"], node["y"]
        if y.dtype is DType.INT8 and x.q.s >= 128 * y.q.s:
            raise ChipfitError(
                "O002",
                f"hard_swish '{node.name}': the input's scale {x.q.s:g} is more than 128 times the output's {y.q.s:g}, "
                "which TensorFlow Lite does not accept either",
                "the output's range was calibrated wrongly",
            )

    def eval_float(self, node: Node, *x: Array) -> Array:
        v = x[0]
        return v * np.clip(v + np.float32(3), np.float32(0), np.float32(6)) / np.float32(6)

    def eval_int(self, node: Node, *x: Array) -> Array:
        x_quant, y_quant = node["x"].q, node["y"].q
        output_m, output_shift = multiplier16(x_quant.s / 128 / y_quant.s)
        gate_m, gate_shift = multiplier16(x_quant.s / 128 / (3 / 32768))
        value = (x[0].astype(np.int64) - x_quant.zp) << 7
        gate = saturate16(value << max(gate_shift - 1, 0))
        gate = rounding_high_multiply16(gate, gate_m)
        gate = saturate16(gate << 1) if gate_shift > 0 else rounding_divide_by_pot(gate, max(-gate_shift, 0))
        gate = (gate + (1 << 15)) >> 1
        product = high_multiply16(gate, rounding_high_multiply16(value, output_m))
        return np.clip(rounding_divide_by_pot(product, -output_shift) + y_quant.zp, -128, 127)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls())
