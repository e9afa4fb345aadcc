"""GATHER_ND."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Node, Shape, TensorType
from chipfit.ops._base import Arg, Call, Const, Kernel, Port, make_node, register
from chipfit.ops._move import MAX_RANK, Move, element_strides, sample_types


@register
@dataclass(frozen=True)
class GatherNd(Move):
    """y[i, ...] = x[indices[i, 0], indices[i, 1], ..., ...]: each row of indices names an element or a slice of x.

    x: any type; indices: (..., n), int32 (a constant may be int64), for the first n axes of x. A constant index outside
    of x is an error; one that is computed counts as the nearest index inside, where TFLite ends the run.
    Source: TFLite GATHER_ND.
    """

    name: ClassVar[str] = "gather_nd"
    inputs: ClassVar[tuple[str, ...]] = ("x", "indices")

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_gather_nd"),)

    def infer(self, node: Node) -> Sequence[Shape]:
        x, indices = node["x"], node["indices"]
        count = indices.shape[-1] if indices.shape else 0
        if not 1 <= count <= len(x.shape) or x.type.size == 0:
            raise ChipfitError(
                "G003", f"gather_nd: '{indices.name}' ({indices.type}) does not index '{x.name}' ({x.type})"
            )
        if indices.is_const and ((indices.array < 0) | (indices.array >= np.array(x.shape[:count]))).any():
            raise ChipfitError("G003", f"gather_nd: '{indices.name}' reaches beyond '{x.name}' ({x.type})")
        return [indices.shape[:-1] + x.shape[count:]]

    def check(self, node: Node) -> None:
        super().check(node)
        indices = node["indices"]
        if indices.dtype is not DType.INT32 and not (indices.is_const and indices.dtype is DType.INT64):
            raise ChipfitError(
                "O002", f"gather_nd '{node.name}': indices '{indices.name}' ({indices.type}) are not int32"
            )
        if indices.shape[-1] > MAX_RANK:
            raise ChipfitError("O002", f"gather_nd '{node.name}': more than {MAX_RANK} axes are indexed")

    def move(self, node: Node, *x: Array) -> Array:
        data, indices = x
        sizes = np.array(data.shape[: indices.shape[-1]])
        return data[tuple(np.moveaxis(np.clip(indices, 0, sizes - 1), -1, 0))]

    def call(self, node: Node) -> Call:
        x, indices = node["x"], node["indices"]
        count = indices.shape[-1]
        where: Arg = Const("indices", indices.array.astype(np.int32)) if indices.is_const else Port("indices")
        pad = MAX_RANK - count
        return Call(
            [Port("x"), where, Port("y")],
            {
                "rows": prod(indices.shape[:-1]),
                "count": count,
                "bytes": prod(x.shape[count:]) * x.dtype.bytes,
                "size": (*x.shape[:count], *(1,) * pad),
                "stride": (*(s * x.dtype.bytes for s in element_strides(x.shape)[:count]), *(0,) * pad),
            },
        )

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        cases: list[tuple[Shape, Shape]] = [
            ((5,), (1,)),
            ((5,), (3, 1)),
            ((3, 7), (4, 2)),
            ((3, 7, 2), (2, 5, 2)),
            ((2, 3, 4, 5), (6, 3)),
            ((2, 3, 4), (7, 1)),
        ]
        for shape, positions in cases:
            for x in sample_types(rng, *shape):
                picked = rng.integers(0, shape[: positions[-1]], positions).astype(np.int32)
                yield make_node(cls(), {"x": x, "indices": picked}, (x.dtype, x.quant))
                yield make_node(cls(), {"x": x, "indices": TensorType(positions, DType.INT32)}, (x.dtype, x.quant))
