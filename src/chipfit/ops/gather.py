"""GATHER, EMBEDDING_LOOKUP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Node, Shape, TensorType
from chipfit.ops._base import Arg, Call, Const, Kernel, Port, make_node, register
from chipfit.ops._move import Move, normal_axis, sample_types


@register
@dataclass(frozen=True)
class Gather(Move):
    """y[b, o, i, ...] = x[b, o, indices[b, i], ...], where b are the first ``batch_dims`` axes and i lies on ``axis``.

    x: any type; indices: (batch..., ...), int32 (a constant may be int64). A constant index outside of x is an error;
    one that is computed counts as the nearest index inside, where LiteRT and newer TFLite Micro kernels end the run.
    Source: TFLite GATHER.
    """

    name: ClassVar[str] = "gather"
    inputs: ClassVar[tuple[str, ...]] = ("x", "indices")

    axis: int = 0
    batch_dims: int = 0

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_gather"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        x, indices = node["x"], node["indices"]
        axis, batch = normal_axis(self, self.axis, len(x.shape)), self.batch_dims
        if not 0 <= batch <= min(axis, len(indices.shape)) or x.shape[:batch] != indices.shape[:batch]:
            raise ChipfitError(
                "G003",
                f"gather: '{x.name}' ({x.type}) and '{indices.name}' ({indices.type}) do not share {batch} batch axes",
            )
        if indices.is_const:
            outside = indices.array[(indices.array < 0) | (indices.array >= x.shape[axis])]
            if outside.size:
                raise ChipfitError(
                    "G003", f"gather: index {outside[0]} of '{indices.name}' is outside of '{x.name}' ({x.type})"
                )
        elif x.shape[axis] == 0:
            raise ChipfitError("G003", f"gather: '{x.name}' ({x.type}) has nothing to pick from")
        return [x.shape[:axis] + indices.shape[batch:] + x.shape[axis + 1 :]]

    def check(self, node: Node) -> None:
        super().check(node)
        indices = node["indices"]
        if indices.dtype is not DType.INT32 and not (indices.is_const and indices.dtype is DType.INT64):
            raise ChipfitError("O002", f"gather '{node.name}': indices '{indices.name}' ({indices.type}) are not int32")

    def move(self, node: Node, *x: Array) -> Array:
        data, batch = x[0], self.batch_dims
        indices = np.clip(x[1], 0, data.shape[self.axis] - 1)
        batches = prod(data.shape[:batch])
        flat = data.reshape(batches, *data.shape[batch:])
        picked = [
            np.take(block, rows, axis=self.axis - batch)
            for block, rows in zip(flat, indices.reshape(batches, *indices.shape[batch:]), strict=True)
        ]
        return np.stack(picked).reshape(node["y"].shape) if picked else np.zeros(node["y"].shape, data.dtype)

    def call(self, node: Node) -> Call:
        x, indices = node["x"], node["indices"]
        where: Arg = Const("indices", indices.array.astype(np.int32)) if indices.is_const else Port("indices")
        return Call(
            [Port("x"), where, Port("y")],
            {
                "batches": prod(x.shape[: self.batch_dims]),
                "outer": prod(x.shape[self.batch_dims : self.axis]),
                "axis_size": x.shape[self.axis],
                "count": prod(indices.shape[self.batch_dims :]),
                "bytes": prod(x.shape[self.axis + 1 :]) * x.dtype.bytes,
            },
        )

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        cases: list[tuple[Gather, Shape, Shape]] = [
            (cls(), (5,), ()),
            (cls(), (5,), (3,)),
            (cls(1), (3, 7), (4,)),
            (cls(1), (2, 5, 3), (2, 2)),
            (cls(2, 1), (2, 3, 5, 2), (2, 3)),
            (cls(2, 2), (2, 3, 5), (2, 3, 4)),
            (cls(3), (2, 1, 3, 7, 2), (5,)),
        ]
        for op, shape, positions in cases:
            for x in sample_types(rng, *shape):
                picked = np.asarray(rng.integers(0, shape[op.axis], positions), np.int32)
                yield make_node(op, {"x": x, "indices": picked}, (x.dtype, x.quant))
                yield make_node(op, {"x": x, "indices": TensorType(positions, DType.INT32)}, (x.dtype, x.quant))
