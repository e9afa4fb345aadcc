"""Operators on one element at a time: y[i] = f(x[i])."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from chipfit.graph import DType, Node, Quant, Shape
from chipfit.ops._base import Call, Op, Port, float_type, int8_type, int16_type, make_node
from chipfit.ops._lookup import elements
from chipfit.ops._roles import OWN, Roles
from chipfit.ops._traversal import Rows, elementwise_rows, sliced
from chipfit.ops._types import require_one_type

SHAPES: tuple[Shape, ...] = ((1,), (1, 257), (2, 3, 5, 7))


class Unary(Op):
    """Base: int8 through a table of 256 bytes, float32 and int16 (where there is one) through kernels of their own."""

    quant: ClassVar[Roles] = OWN

    def infer(self, node: Node) -> Sequence[Shape]:
        return [node["x"].shape]

    def check(self, node: Node) -> None:
        wide = (DType.INT16,) if self.quant.int16 else ()
        require_one_type(node, DType.INT8, *wide, DType.FLOAT32)

    def rows(self, node: Node) -> Rows | str:
        return elementwise_rows(node)

    def slice_rows(self, node: Node, first: int, count: int, padded: bool) -> Node:
        return sliced(node, self, first, first + count, count)

    def call(self, node: Node) -> Call:
        return Call([Port("x"), Port("y")], {"n": elements(node["y"])})


def unary_samples(rng: np.random.Generator, op: Op, *outputs: Quant) -> Iterator[Node]:
    """Float nodes of several shapes, and int8 ones with random, tiny and large scales.

    ``outputs``: the only quantizations that the output may have; none given: any.
    """
    for shape in SHAPES:
        yield make_node(op, {"x": float_type(*shape)}, (DType.FLOAT32, None))
    scales = [0.0004, 0.019, 0.0625, 0.5, 3.7, float(rng.uniform(0.005, 0.2))]
    for i, scale in enumerate(scales):
        x = int8_type(rng, *SHAPES[i % len(SHAPES)], scale=scale, zero_point=(-128, 127, 0, -1, 5, -77)[i])
        random = Quant.per_tensor(scale * float(rng.uniform(0.4, 1.6)), int(rng.integers(-128, 128)))
        yield make_node(op, {"x": x}, (DType.INT8, outputs[0] if outputs else random))
        if not outputs:
            yield make_node(op, {"x": x}, (DType.INT8, x.q))
    if not outputs:
        # 3/2, but for the rounding of the scales: every second result is half of one before it is rounded
        x = int8_type(rng, 257, scale=0.1, zero_point=-90)
        yield make_node(op, {"x": x}, (DType.INT8, Quant.per_tensor(x.q.s * 20 / 30, -100)))
    if op.quant.int16 and not outputs:
        yield from _int16_samples(rng, op)


def _int16_samples(rng: np.random.Generator, op: Op) -> Iterator[Node]:
    """Symmetric int16 nodes with random, tiny and large scales, also with the input's own."""
    for i, scale in enumerate((0.00004, 0.0003, 1 / 4096, 0.02, float(rng.uniform(0.0001, 0.001)))):
        x = int16_type(rng, *SHAPES[i % len(SHAPES)], scale=scale)
        for factor in (1.0, float(rng.uniform(0.4, 1.6)), 2 / 3):
            yield make_node(op, {"x": x}, (DType.INT16, Quant.per_tensor(x.q.s * factor)))
