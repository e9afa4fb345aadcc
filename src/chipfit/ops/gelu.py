"""GELU."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Kernel, for_types, register
from chipfit.ops._curve import Curve, curve_kernels
from chipfit.ops._steps import elements_in_order
from chipfit.ops._unary import unary_samples


def _is_exact(node: Node) -> bool | str:
    return not node.op.attributes()["approximate"] or "it is the exact form"


def _is_approximate(node: Node) -> bool | str:
    return bool(node.op.attributes()["approximate"]) or "it is the form with tanh"


@register
@dataclass(frozen=True)
class Gelu(Curve):
    """y = x * (1 + erf(x / sqrt(2))) / 2; approximate: x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2.

    int8, int16 or float32. Source: TFLite GELU; integers as in LiteRT (TFLite Micro does not have it).
    """

    name: ClassVar[str] = "gelu"

    approximate: bool = False

    kernels: ClassVar[tuple[Kernel, ...]] = (
        *curve_kernels("gelu")[:2],
        Kernel("cf_gelu_f32", for_types("float32"), when=_is_exact, traversal=elements_in_order),
        Kernel("cf_gelu_tanh_f32", for_types("float32"), when=_is_approximate, traversal=elements_in_order),
    )

    def function(self, x: Array) -> Array:
        half, one = np.float32(0.5), np.float32(1)
        if self.approximate:
            inner = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x * x)
            return half * x * (one + np.tanh(inner.astype(np.float64)).astype(np.float32))
        return half * x * _erfc(x * -np.float32(math.sqrt(0.5)))

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for approximate in (False, True):
            nodes = unary_samples(rng, cls(approximate))
            # not a float alone: where it is small, 1 + erf(x) of other implementations has lost its digits
            yield from (node for node in nodes if not node["x"].dtype.is_float or node["x"].type.size > 1)


def _erfc(x: Array) -> Array:
    """1 - erf(x)."""
    return np.array([math.erfc(v) for v in x.reshape(-1).tolist()], np.float32).reshape(x.shape)
