"""ELU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import round_half_away
from chipfit.graph import Array, Node
from chipfit.ops._base import Kernel, for_types, register
from chipfit.ops._lookup import lookup_kernel
from chipfit.ops._roles import OWN_INT8, Roles
from chipfit.ops._steps import elements_in_order
from chipfit.ops._unary import Unary, unary_samples


@register
@dataclass(frozen=True)
class Elu(Unary):
    """y = x < 0 ? exp(x) - 1 : x.

    Source: TFLite ELU; int8 as in the TFLite Micro kernel: float32 arithmetic for each of the 256 inputs, at compile
    time. There exp(x) - 1 is one float subtraction; LiteRT calls expm1, so that a rounding can differ.
    """

    name: ClassVar[str] = "elu"
    quant: ClassVar[Roles] = OWN_INT8

    kernels: ClassVar[tuple[Kernel, ...]] = (
        lookup_kernel(),
        Kernel("cf_elu_f32", for_types("float32"), traversal=elements_in_order),
    )

    def eval_float(self, node: Node, *x: Array) -> Array:
        v = x[0].astype(np.float64)
        return np.where(v < 0, np.expm1(np.minimum(v, 0)), v).astype(np.float32)

    def eval_int(self, node: Node, *x: Array) -> Array:
        x_quant, y_quant = node["x"].q, node["y"].q
        v = np.float32(x_quant.s) * (x[0].astype(np.int32) - x_quant.zp).astype(np.float32)
        e = np.exp(np.minimum(v, 0).astype(np.float64)).astype(np.float32)
        transformed = np.where(v < 0, e - np.float32(1), v)
        rounded = round_half_away(transformed * (np.float32(1) / np.float32(y_quant.s))).astype(np.float32)
        return np.clip((rounded + np.float32(y_quant.zp)).astype(np.int64), -128, 127)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls())
