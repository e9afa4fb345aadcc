"""What ARG_MAX and ARG_MIN share: everything but a comparison."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Node, Shape
from chipfit.ops._base import Call, Op, Port, float_type, int8_type, make_node
from chipfit.ops._roles import OWN_INT8, Roles


@dataclass(frozen=True)
class ArgExtremum(Op):
    """Base: the index of the best element along ``axis``, which goes away. x: int8 or float32; y: int32."""

    quant: ClassVar[Roles] = OWN_INT8

    axis: int

    @abstractmethod
    def better(self, a: Array, b: Array) -> Array: ...

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        if not 0 <= self.axis < len(x.shape) or x.shape[self.axis] == 0:
            raise ChipfitError("G003", f"{self.name}: '{x.name}' {x.type} has no elements along axis {self.axis}")
        return [x.shape[: self.axis] + x.shape[self.axis + 1 :]]

    def check(self, node: Node) -> None:
        x, y = node["x"], node["y"]
        if x.dtype not in (DType.INT8, DType.FLOAT32) or y.dtype is not DType.INT32:
            raise ChipfitError(
                "O002",
                f"{self.name} '{node.name}' from {x.dtype.value} ('{x.name}') to {y.dtype.value} cannot be compiled; "
                "int8 or float32 to int32 can",
                "set output_type=tf.int32 in the model, and quantize it to int8 or leave it in float32",
            )

    def eval_int(self, node: Node, *x: Array) -> Array:
        columns = np.moveaxis(x[0], self.axis, 0)
        best, index = columns[0], np.zeros(columns.shape[1:], np.int64)
        for k in range(1, len(columns)):
            better = self.better(columns[k], best)
            best, index = np.where(better, columns[k], best), np.where(better, k, index)
        return index

    def call(self, node: Node) -> Call:
        shape = node["x"].shape
        sizes = {"outer": prod(shape[: self.axis]), "size": shape[self.axis], "inner": prod(shape[self.axis + 1 :])}
        return Call([Port("x"), Port("y")], sizes)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for shape, axis in (
            ((1, 10), 1),
            ((300,), 0),
            ((2, 3, 5), 1),
            ((2, 3, 5), 0),
            ((3, 1, 2), 1),
            ((2, 3, 4, 7), 3),
        ):
            yield make_node(cls(axis), {"x": int8_type(rng, *shape)}, (DType.INT32, None))
            yield make_node(cls(axis), {"x": float_type(*shape)}, (DType.INT32, None))
