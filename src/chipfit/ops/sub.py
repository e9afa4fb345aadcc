"""SUB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Node
from chipfit.ops._activation import Activation
from chipfit.ops._add import ADD_S8_KERNELS, AddLike
from chipfit.ops._add_s8 import LEFT_SHIFT
from chipfit.ops._base import Kernel, for_types, register
from chipfit.ops._broadcast import binary_samples, int32_samples


@register
@dataclass(frozen=True)
class Sub(AddLike):
    """y = act(a - b), with numpy's broadcasting. int8, float32, or int32 without quantization (wraps around).

    Source: TFLite SUB; int8 (each operand scaled to a common scale with a rounding, then the result) as in
    the TFLite Micro reference kernel, whose multipliers are float32 quotients (LiteRT divides in double, so
    that a rounding can differ).
    """

    name: ClassVar[str] = "sub"
    sign: ClassVar[int] = -1

    act: Activation = "none"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        *ADD_S8_KERNELS,
        Kernel("cf_sub_f32", for_types("float32")),
        Kernel("cf_sub_s32", for_types("int32")),
    )

    @property
    def activation(self) -> Activation:
        return self.act

    @staticmethod
    def multipliers(a: float, b: float, y: float) -> tuple[float, float, float]:
        """In float32. Source: TFLite Micro ``CalculateOpDataSub``."""
        sa, sb, sy = np.float32(a), np.float32(b), np.float32(y)
        twice = np.float32(2) * max(sa, sb)
        return float(sa / twice), float(sb / twice), float(twice / (np.float32(1 << LEFT_SHIFT) * sy))

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from binary_samples(rng, cls())
        yield from binary_samples(rng, cls("relu"))
        yield from binary_samples(rng, cls("relu6"))
        yield from binary_samples(rng, cls("relu_n1_to_1"), 0.2)
        yield from binary_samples(rng, cls(), same_quant=True)
        yield from int32_samples(rng, cls())
