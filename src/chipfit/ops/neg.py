"""NEG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import quantize_multiplier, requantize
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
class Neg(Unary):
    """y = -x.

    int8, int16 or float32. Source: TFLite NEG; integers are chipfit's own, rescaled with double rounding as RELU is:
    TensorFlow Lite has none.
    """

    name: ClassVar[str] = "neg"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        lookup_kernel(),
        Kernel("cf_neg_s16", for_types("int16"), call=_int16_call, traversal=elements_in_order),
        float_kernel("neg"),
    )

    def eval_float(self, node: Node, *x: Array) -> Array:
        return -x[0]

    def eval_int(self, node: Node, *x: Array) -> Array:
        y = node["y"]
        return requantize(node["x"].q.zp - x[0].astype(np.int64), *_multiplier(node), y.q.zp, *y.dtype.range)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from unary_samples(rng, cls())
