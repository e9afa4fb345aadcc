"""CUMSUM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import quantize_multiplier, rounding_divide_by_pot
from chipfit.graph import Array, DType, Node, Quant, Shape
from chipfit.ops._base import Call, Kernel, Op, Port, float_type, for_types, int8_type, make_node, register
from chipfit.ops._move import normal_axis
from chipfit.ops._roles import OWN_INT8, Roles
from chipfit.ops._types import require_one_type

_SHIFT = 19
"""Sums are scaled up by this many bits before they are rescaled; half of what TFLite shifts, which it halves then."""


@register
@dataclass(frozen=True)
class Cumsum(Op):
    """y[i] = x[0] + ... + x[i] along ``axis``; exclusive: without x[i]; reverse: from the other end. int8 or float32.

    Source: TFLite CUMSUM; int8 as in the TFLite Micro reference kernel: sums are rescaled with double rounding.
    There they begin with the real number of the stored element 0 instead of 0, and overflow when they leave 4,095 steps
    of the input; here neither is so.
    """

    name: ClassVar[str] = "cumsum"
    quant: ClassVar[Roles] = OWN_INT8

    axis: int
    exclusive: bool = False
    reverse: bool = False

    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel("cf_cumsum_s8", for_types("int8"), without=frozenset({"narrow"})),  # 64-bit sums
        Kernel("cf_cumsum_f32", for_types("float32")),
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        normal_axis(self, self.axis, len(node["x"].shape))
        return [node["x"].shape]

    def check(self, node: Node) -> None:
        require_one_type(node, DType.INT8, DType.FLOAT32)
        x, y = node["x"], node["y"]
        if y.dtype is not DType.INT8:
            return
        problem = ""
        if _multiplier(node)[1] > 0:
            problem = f"the output's scale {y.q.s:g} is too small for the input's {x.q.s:g}"
        elif x.shape[self.axis] >= 1 << 22:
            problem = f"{x.shape[self.axis]:,} elements have sums that leave 31 bits"
        if problem:
            raise ChipfitError("O002", f"{self.name} '{node.name}': {problem}", "the range was calibrated wrongly")

    def eval_float(self, node: Node, *x: Array) -> Array:
        return self._sums(x[0].astype(np.float32))

    def eval_int(self, node: Node, *x: Array) -> Array:
        y = node["y"]
        m, shift = _multiplier(node)
        sums = self._sums(x[0].astype(np.int64) - node["x"].q.zp)
        high = (sums * m + (1 << (30 - _SHIFT))) >> (31 - _SHIFT)
        return np.clip(rounding_divide_by_pot(high, -shift) + y.q.zp, -128, 127)

    def _sums(self, x: Array) -> Array:
        x = np.flip(x, self.axis) if self.reverse else x
        sums = np.add.accumulate(x, axis=self.axis, dtype=x.dtype)
        if self.exclusive:
            sums = np.roll(sums, 1, self.axis)
            sums[(slice(None),) * self.axis + (0,)] = 0
        return np.flip(sums, self.axis) if self.reverse else sums

    def call(self, node: Node) -> Call:
        shape = node["x"].shape
        params = {
            "outer": prod(shape[: self.axis]),
            "size": shape[self.axis],
            "inner": prod(shape[self.axis + 1 :]),
            "exclusive": int(self.exclusive),
            "reverse": int(self.reverse),
        }
        if node["y"].dtype is DType.INT8:
            m, shift = _multiplier(node)
            params |= {"x_zero": node["x"].q.zp, "y_zero": node["y"].q.zp, "m": m, "shift": shift}
        return Call([Port("x"), Port("y")], params)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for shape, axis in (((1,), 0), ((13,), 0), ((3, 5, 7), 1), ((2, 1, 16), 2), ((4, 3, 2, 2), 0)):
            for exclusive, reverse in ((False, False), (True, False), (False, True), (True, True)):
                op = cls(axis, exclusive, reverse)
                x = int8_type(rng, *shape, zero_point=0 if exclusive == reverse else None)
                y = Quant.per_tensor(x.q.s * float(rng.uniform(0.6, 5.0)), int(rng.integers(-128, 128)))
                yield make_node(op, {"x": x}, (DType.INT8, y))
                yield make_node(op, {"x": float_type(*shape)}, (DType.FLOAT32, None))


def _multiplier(node: Node) -> tuple[int, int]:
    """Of the scaled sums."""
    return quantize_multiplier(2 * node["x"].q.s / ((1 << (_SHIFT + 1)) * node["y"].q.s))
