"""What MINIMUM and MAXIMUM share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from chipfit.graph import DType, Node
from chipfit.ops._base import Call, Op
from chipfit.ops._broadcast import Binary, binary_samples, broadcast_call, int16_samples, int32_samples
from chipfit.ops._roles import SHARED, Roles
from chipfit.ops._types import require_one_type


class Extremum(Binary):
    """Base: the stored elements are compared, whatever their scales."""

    quant: ClassVar[Roles] = SHARED

    def check(self, node: Node) -> None:
        require_one_type(node, DType.INT8, DType.INT16, DType.FLOAT32, DType.INT32)

    def call(self, node: Node) -> Call:
        return broadcast_call(node, {}, "cf_broadcast_params")


def extremum_samples(rng: np.random.Generator, op: Op) -> Iterator[Node]:
    yield from binary_samples(rng, op, same_quant=True)
    yield from int16_samples(rng, type(op), same_quant=True)
    yield from int32_samples(rng, op)
