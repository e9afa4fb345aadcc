"""What mean, sum and reduce_max share: attributes, shapes, and the loops of the C kernels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import quantize_multiplier, requantize
from chipfit.graph import Array, DType, Node, Quant, Shape
from chipfit.ops._base import Call, Op, Port, RowSums, float_type, int8_type, int16_type, make_node
from chipfit.ops._checks import require_int32_sums
from chipfit.ops._roles import OWN, Roles
from chipfit.ops._row_sums import image_row_sums
from chipfit.ops._types import require_one_type

_LOOPS = 3  # kept and reduced axes that a C kernel has loops for, after neighbours are merged

Params = dict[str, int | float | tuple[int, ...]]


@dataclass(frozen=True)
class Reduce(Op):
    """Reduces ``axes`` (non-negative); they stay as axes of size 1 if ``keep_dims``. No axes: nothing is reduced."""

    quant: ClassVar[Roles] = OWN

    axes: tuple[int, ...] = ()
    keep_dims: bool = False

    def infer(self, node: Node) -> Sequence[Shape]:
        x = node["x"]
        if any(not 0 <= a < len(x.shape) for a in self.axes) or len(set(self.axes)) != len(self.axes):
            raise ChipfitError("G003", f"{self.name}: axes {list(self.axes)} do not fit '{x.name}' {x.type}")
        if self.count(x.shape) == 0:
            raise ChipfitError("G003", f"{self.name}: '{x.name}' {x.type} has no elements along {list(self.axes)}")
        if self.keep_dims:
            return [tuple(1 if a in self.axes else d for a, d in enumerate(x.shape))]
        return [tuple(d for a, d in enumerate(x.shape) if a not in self.axes)]

    def check(self, node: Node) -> None:
        require_one_type(node, DType.INT8, DType.INT16, DType.FLOAT32)
        if max(len(part) for part in self.loops(node["x"].shape)) > _LOOPS:
            raise ChipfitError(
                "O002",
                f"{self.name} '{node.name}': '{node['x'].name}' ({node['x'].type}) reduced along {list(self.axes)} "
                f"needs more than {_LOOPS} nested loops",
                "reshape or transpose the tensor so that fewer separate axes are reduced",
            )

    def count(self, shape: Shape) -> int:
        """Elements that go into one output."""
        return math.prod(shape[a] for a in self.axes)

    def loops(self, shape: Shape) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """``(size, step)`` of the kept and of the reduced axes, neighbours of one kind merged, outermost first."""
        kept: list[tuple[int, int]] = []
        reduced: list[tuple[int, int]] = []
        step, previous = 1, None
        for axis in range(len(shape) - 1, -1, -1):
            size = shape[axis]
            if size != 1:
                part = reduced if axis in self.axes else kept
                if part is previous:
                    part[0] = (part[0][0] * size, part[0][1])
                else:
                    part.insert(0, (size, step))
                previous = part
            step *= size
        return kept, reduced

    def loop_params(self, node: Node) -> Params:
        """The loops as fields of ``cf_reduce_loops``' users."""
        x, y = node["x"], node["y"]
        kept, reduced = ([(1, 0)] * (_LOOPS - len(part)) + part for part in self.loops(x.shape))
        return {
            "outputs": y.type.size,
            "keep": tuple(size for size, _ in kept),
            "keep_step": tuple(step for _, step in kept),
            "over": tuple(size for size, _ in reduced),
            "over_step": tuple(step for _, step in reduced),
        }

    def call(self, node: Node) -> Call:
        return Call([Port("x"), Port("y")], self.loop_params(node), "cf_reduce_params")

    @classmethod
    def sample_shapes(cls) -> list[tuple[Shape, Reduce]]:
        return [
            ((1,), cls((0,))),
            ((7,), cls((0,), keep_dims=True)),
            ((5, 3), cls((0,))),
            ((5, 3), cls((1,))),
            ((1, 3, 5, 11), cls((1, 2))),
            ((2, 4, 3, 7), cls((1, 2), keep_dims=True)),
            ((2, 3, 5, 4), cls((0, 2))),
            ((2, 3, 5, 4), cls((3, 1), keep_dims=True)),
            ((2, 3, 4), cls((0, 1, 2))),
            ((2, 3, 2, 3, 2), cls((0, 2, 4))),
            ((1, 25, 5, 6), cls((1, 2), keep_dims=True)),
            ((2, 16, 16, 8), cls((1, 2))),
            ((1, 257, 4), cls((1,))),
            ((4, 1, 6), cls(())),
        ]


def sums_in_fours(node: Node) -> bool | str:
    """True, or why ``cf_sum_s8_fours`` cannot be used: four neighbouring sums at a time, in 16 bits."""
    op: Reduce = node.op  # type: ignore[assignment]
    x = node["x"]
    kept, reduced = op.loops(x.shape)
    if not kept or kept[-1][1] != 1 or kept[-1][0] % 4:
        return "the last axis is reduced or no multiple of 4"
    if len(reduced) > 1:
        return "the reduced axes are not neighbours"
    return op.count(x.shape) <= 256 or "sums of more than 256 elements"


class ReduceSum(Reduce):
    """Sums; on integers the mean is a sum with another multiplier."""

    def check(self, node: Node) -> None:
        super().check(node)
        require_int32_sums(node, self.count(node["x"].shape))

    def sum_in_order(self, x: Array) -> Array:
        """Float sums element after element, as the C kernels and TFLite add them."""
        last = sorted(self.axes)
        moved = np.moveaxis(x.astype(np.float32), last, range(x.ndim - len(last), x.ndim))
        rows = moved.reshape(*moved.shape[: x.ndim - len(last)], -1)
        sums = np.cumsum(rows, axis=-1, dtype=np.float32)[..., -1]
        return np.expand_dims(sums, tuple(last)) if self.keep_dims else sums

    def multiplier(self, node: Node) -> tuple[int, int]:
        """``(m, shift)`` that takes the sum of ``x - zero_x`` to the output's scale."""
        return quantize_multiplier(float(node["x"].q.s) / float(node["y"].q.s))

    def eval_int(self, node: Node, *x: Array) -> Array:
        vx, vy = node["x"], node["y"]
        sums = (x[0].astype(np.int64) - vx.q.zp).sum(axis=self.axes, keepdims=self.keep_dims)
        return requantize(sums, *self.multiplier(node), vy.q.zp, *vy.dtype.range)

    def call(self, node: Node) -> Call:
        if node["y"].dtype is DType.FLOAT32:
            return super().call(node)
        struct = "cf_sum_params" if node["y"].dtype is DType.INT8 else None
        return Call([Port("x"), Port("y")], {**self.loop_params(node), **self._rescale(node)}, struct)

    def _rescale(self, node: Node) -> dict[str, int]:
        """From a sum of stored elements to the output, as fields of the C structs."""
        x, y = node["x"], node["y"]
        m, shift = self.multiplier(node)
        if y.dtype is DType.INT16:
            return {"m": m, "shift": shift}
        return {"in_zero_sum": x.q.zp * self.count(x.shape), "m": m, "shift": shift, "out_zero": y.q.zp}

    def row_sums(self, node: Node) -> RowSums | None:
        """Only along both axes of an image."""
        if sorted(self.axes) != [1, 2] or node["y"].dtype is DType.FLOAT32:
            return None
        return image_row_sums(node, "mean", self._rescale(node))

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for shape, op in cls.sample_shapes():
            count = op.count(shape) if cls.name == "sum" else 1
            for spread in (0.3, 1.0, 4.0):
                x = int8_type(rng, *shape)
                scale = x.q.s * spread * math.sqrt(count)
                y = Quant.per_tensor(scale, int(rng.choice([-128, 127, int(rng.integers(-128, 128))])))
                yield make_node(op, {"x": x}, (DType.INT8, y))
            x = int8_type(rng, *shape)
            yield make_node(op, {"x": x}, (DType.INT8, x.quant))
            wide = int16_type(rng, *shape)
            for spread in (0.3, 1.0, 4.0):
                y = Quant.per_tensor(wide.q.s * spread * math.sqrt(count))
                yield make_node(op, {"x": wide}, (DType.INT16, y))
            yield make_node(op, {"x": wide}, (DType.INT16, wide.quant))
            yield make_node(op, {"x": float_type(*shape)}, (DType.FLOAT32, None))
