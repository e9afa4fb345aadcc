"""ABS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import multiply_by_quantized_multiplier, quantize_multiplier
from chipfit.graph import Array, Node
from chipfit.ops._base import Call, Kernel, Port, for_types, register
from chipfit.ops._curve import float_kernel
from chipfit.ops._lookup import lookup_kernel
from chipfit.ops._steps import elements_in_order
from chipfit.ops._unary import Unary, unary_samples


def _multiplier(node: Node) -> tuple[int, int]:
    return quantize_multiplier(node["x"].q.s / node["y"].q.s)


def _int16_call(node: Node) -> Call:
    m, shift = _multiplier(node)
    return Call([Port("x"), Port("y")], {"n": node["y"].type.size, "m": m, "shift": shift})


@register
@dataclass(frozen=True)
class Abs(Unary):
    """y = the magnitude of x.

    int8, int16 or float32. Source: TFLite ABS; integers as in the TFLite Micro reference kernel: rescaled with double
    rounding, by a double quotient (LiteRT: a float32 quotient, so that a tie can fall otherwise).
    """

    name: ClassVar[str] = "abs"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        lookup_kernel(),
        Kernel("cf_abs_s16", for_types("int16"), call=_int16_call, traversal=elements_in_order),
        float_kernel("abs"),
    )

    def eval_float(self, node: Node, *x: Array) -> Array:
        return np.abs(x[0])

    def eval_int(self, node: Node, *x: Array) -> Array:
        y = node["y"]
        magnitude = np.abs(x[0].astype(np.int64) - node["x"].q.zp)
        scaled = multiply_by_quantized_multiplier(magnitude, *_multiplier(node))
        return np.clip(scaled + y.q.zp, *y.dtype.range)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls())
