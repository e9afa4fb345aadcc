"""GREATER_EQUAL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Kernel, register
from chipfit.ops._compare import COMPARE_KERNELS, Compare, compare_samples


@register
@dataclass(frozen=True)
class GreaterEqual(Compare):
    """y = a >= b, with numpy's broadcasting; y: bool. int8, float32 or int32.

    Source: TFLite GREATER_EQUAL; int8 as in the TFLite Micro reference kernel: both sides in units of 1/256.
    """

    name: ClassVar[str] = "greater_equal"
    kernels: ClassVar[tuple[Kernel, ...]] = COMPARE_KERNELS

    def relate(self, a: Array, b: Array) -> Array:
        return a >= b

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from compare_samples(rng, cls())
