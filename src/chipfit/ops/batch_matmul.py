"""BATCH_MATMUL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import (
    INT32_MAX,
    multiply_wide_by_quantized_multiplier,
    quantize_multiplier,
    reduce_multiplier,
    requantize,
)
from chipfit.graph import Array, DType, Node, Quant, Shape
from chipfit.ops._base import Call, Kernel, Op, Port, float_type, for_types, int8_type, int16_type, make_node, register
from chipfit.ops._broadcast import OUTER, Params, collapse_all
from chipfit.ops._layers_s16 import GREATEST_SHIFT
from chipfit.ops._roles import OWN, Roles
from chipfit.ops._types import require_one_type


@register
@dataclass(frozen=True)
class BatchMatmul(Op):
    """y = a @ b for each matrix, (..., rows, depth) @ (..., depth, columns); the other axes are broadcast.

    adj_x, adj_y: a, b is stored with its last two axes swapped. int8, int16 or float32; either may be constant. Source:
    TFLite BATCH_MATMUL; int8 and int16 as in the TFLite Micro reference kernel: int8 sums of 32 bits, rescaled with
    double rounding, int16 sums of 64 bits, by a multiplier of 15 bits, rounded once; halves up.
    """

    name: ClassVar[str] = "batch_matmul"
    inputs: ClassVar[tuple[str, ...]] = ("a", "b")
    quant: ClassVar[Roles] = OWN

    adj_x: bool = False
    adj_y: bool = False

    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel("cf_batch_matmul_s8", for_types("int8")),
        Kernel("cf_batch_matmul_s16", for_types("int16")),
        Kernel("cf_batch_matmul_f32", for_types("float32")),
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        a, b = node["a"], node["b"]
        if min(len(a.shape), len(b.shape)) >= 2:
            rows, depth, depth_b, columns = self._sizes(node)
            try:
                batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
            except ValueError:
                batch = None
            if depth == depth_b and depth and batch is not None:
                return [(*batch, rows, columns)]
        raise ChipfitError(
            "G003",
            f"{self.name}: '{a.name}' {a.type} and '{b.name}' {b.type} cannot be multiplied"
            f"{' with adj_x' if self.adj_x else ''}{' with adj_y' if self.adj_y else ''}",
        )

    def check(self, node: Node) -> None:
        require_one_type(node, DType.INT8, DType.INT16, DType.FLOAT32)
        a, b, y = node["a"], node["b"], node["y"]
        problem = ""
        if len(collapse_all(a.shape[:-2], b.shape[:-2])[0]) > OUTER:
            problem = f"need more than {OUTER} loops over matrices"
        elif y.dtype is DType.INT8 and 255 * 255 * self._sizes(node)[1] > INT32_MAX:
            problem = "have sums that leave 32 bits"
        elif y.dtype is DType.INT16 and _multiplier(node)[1] > GREATEST_SHIFT:
            problem = f"give sums that are scaled by more than 2**{GREATEST_SHIFT}: the output has the scale {y.q.s:g}"
        if problem:
            raise ChipfitError(
                "O002", f"{self.name} '{node.name}': '{a.name}' {a.type} and '{b.name}' {b.type} {problem}"
            )

    def eval_float(self, node: Node, *x: Array) -> Array:
        a, b = self._matrices(*x)
        return np.matmul(a, b)

    def eval_int(self, node: Node, *x: Array) -> Array:
        y = node["y"]
        # float64 holds every sum of these products exactly, and uses fast matrix products
        centred = [v.astype(np.float64) - node[port].q.zp for v, port in zip(x, ("a", "b"), strict=True)]
        sums = np.matmul(*self._matrices(*centred)).astype(np.int64)
        m, shift = _multiplier(node)
        if y.dtype is DType.INT16:
            return np.clip(multiply_wide_by_quantized_multiplier(sums, m, shift), *y.dtype.range)
        return requantize(sums, m, shift, y.q.zp, *y.dtype.range)

    def _matrices(self, a: Array, b: Array) -> tuple[Array, Array]:
        return (np.swapaxes(a, -1, -2) if self.adj_x else a, np.swapaxes(b, -1, -2) if self.adj_y else b)

    def _sizes(self, node: Node) -> tuple[int, int, int, int]:
        """Rows and columns of a, rows and columns of b."""
        a, b = node["a"].shape[-2:], node["b"].shape[-2:]
        rows, depth = a[::-1] if self.adj_x else a
        depth_b, columns = b[::-1] if self.adj_y else b
        return rows, depth, depth_b, columns

    def macs(self, node: Node) -> int:
        return node["y"].type.size * self._sizes(node)[1]

    def call(self, node: Node) -> Call:
        args, y = [Port("a"), Port("b"), Port("y")], node["y"]
        if y.dtype is DType.FLOAT32:
            return Call(args, self._loops(node), "cf_matmul_params")
        m, shift = _multiplier(node)
        if y.dtype is DType.INT16:
            return Call(args, {**self._loops(node), "m": int(reduce_multiplier(m)), "shift": shift})
        zeros = {"a_zero": node["a"].q.zp, "b_zero": node["b"].q.zp, "y_zero": y.q.zp}
        return Call(args, {**self._loops(node), **zeros, "m": m, "shift": shift})

    def _loops(self, node: Node) -> Params:
        """As fields of ``cf_matmul.h``."""
        a, b = node["a"].shape, node["b"].shape
        rows, depth, _, columns = self._sizes(node)
        sizes, (a_outer, b_outer) = collapse_all(a[:-2], b[:-2])
        pad = OUTER - len(sizes)
        return {
            "matrices": prod(sizes),
            "outer": (1,) * pad + sizes,
            "a_outer": (0,) * pad + tuple(step * rows * depth for step in a_outer),
            "b_outer": (0,) * pad + tuple(step * depth * columns for step in b_outer),
            "rows": rows,
            "columns": columns,
            "depth": depth,
            "a_row": 1 if self.adj_x else depth,
            "a_step": rows if self.adj_x else 1,
            "b_column": depth if self.adj_y else 1,
            "b_step": 1 if self.adj_y else columns,
        }

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        cases: list[tuple[Shape, Shape]] = [
            ((1, 1), (1, 1)),
            ((3, 7), (7, 5)),
            ((2, 3, 4), (2, 4, 6)),
            ((1, 2, 5, 16), (1, 2, 16, 5)),
            ((4, 3), (2, 3, 5)),
            ((3, 1, 2, 9), (1, 2, 9, 4)),
            ((2, 1, 3, 1, 11), (2, 2, 1, 11, 3)),
            ((1, 67), (67, 1)),
        ]
        for i, (a_shape, b_shape) in enumerate(cases):
            for adj_x, adj_y in ((False, False), (True, False), (False, True), (True, True)):
                op = cls(adj_x, adj_y)
                shapes = _swapped(a_shape, adj_x), _swapped(b_shape, adj_y)
                yield from _integer_samples(rng, op, *shapes, constant=(i + adj_x) % 3)
                yield make_node(op, {"a": float_type(*shapes[0]), "b": float_type(*shapes[1])}, (DType.FLOAT32, None))
            weights = rng.normal(0, 1, b_shape).astype(np.float32)
            yield make_node(cls(), {"a": float_type(*a_shape), "b": weights}, (DType.FLOAT32, None))


def _swapped(shape: Shape, swap: bool) -> Shape:
    return (*shape[:-2], shape[-1], shape[-2]) if swap else shape


def _integer_samples(rng: np.random.Generator, op: Op, a_shape: Shape, b_shape: Shape, constant: int) -> Iterator[Node]:
    """int8 and int16; ``constant``: 1: a is one, 2: b is one."""
    depth = b_shape[-1 if op.attributes()["adj_y"] else -2]
    for make, spread in ((int8_type, 74.0), (int16_type, 18900.0)):
        a, b = make(rng, *a_shape), make(rng, *b_shape)
        low, high = a.dtype.range
        scale = a.q.s * b.q.s * spread * spread * float(np.sqrt(depth)) / high * float(rng.uniform(1.0, 4.0))
        zero = int(rng.integers(-128, 128)) if make is int8_type else 0
        elements = rng.integers(low, high + 1, (a_shape, a_shape, b_shape)[constant]).astype(a.dtype.numpy)
        left, right = ((a, elements) if constant == 1 else a), ((b, elements) if constant == 2 else b)
        yield make_node(op, {"a": left, "b": right}, (a.dtype, Quant.per_tensor(scale, zero)))


def _multiplier(node: Node) -> tuple[int, int]:
    """Of the sums, from the product of the scales in double precision."""
    return quantize_multiplier(node["a"].q.s * node["b"].q.s / node["y"].q.s)
