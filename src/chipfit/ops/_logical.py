"""What LOGICAL_AND and LOGICAL_OR share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from chipfit.graph import DType, Node, TensorType
from chipfit.ops._base import Call, Op, make_node
from chipfit.ops._broadcast import PAIRS, Binary, broadcast_call
from chipfit.ops._roles import NO_ROLES, Roles
from chipfit.ops._types import require_one_type


class LogicalPair(Binary):
    """Base: bool in, bool out; one byte each, 0 or 1."""

    quant: ClassVar[Roles] = NO_ROLES

    def check(self, node: Node) -> None:
        require_one_type(node, DType.BOOL)

    def call(self, node: Node) -> Call:
        return broadcast_call(node, {}, "cf_broadcast_params")


def logical_samples(rng: np.random.Generator, op: Op) -> Iterator[Node]:
    for a_shape, b_shape in PAIRS:
        a, b = TensorType(a_shape, DType.BOOL), TensorType(b_shape, DType.BOOL)
        yield make_node(op, {"a": a, "b": b}, (DType.BOOL, None))
        constant = rng.integers(0, 2, b_shape).astype(np.bool_)
        yield make_node(op, {"a": a, "b": constant}, (DType.BOOL, None))
