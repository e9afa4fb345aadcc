"""SELECT_V2, SELECT."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Node, Shape, TensorType
from chipfit.ops._base import Call, Kernel, Op, Port, for_types, make_node, register
from chipfit.ops._broadcast import OUTER, collapse_all
from chipfit.ops._move import require_same_quant, sample_types
from chipfit.ops._roles import SHARED, Roles
from chipfit.ops._steps import elements_in_order
from chipfit.ops._traversal import Rows, elementwise_rows, sliced


@register
@dataclass(frozen=True)
class SelectV2(Op):
    """y = condition ? a : b, with numpy's broadcasting of all three.

    condition: bool; a, b, y: any one type, with one scale and zero point. Source: TFLite SELECT_V2.
    """

    name: ClassVar[str] = "select_v2"
    inputs: ClassVar[tuple[str, ...]] = ("condition", "a", "b")
    quant: ClassVar[Roles] = SHARED

    kernels: ClassVar[tuple[Kernel, ...]] = tuple(
        Kernel(f"cf_select_{bits}", for_types("bool", dtype.value), traversal=elements_in_order)
        for dtype, bits in (
            (DType.INT8, 8),
            (DType.UINT8, 8),
            (DType.BOOL, 8),
            (DType.INT16, 16),
            (DType.INT32, 32),
            (DType.FLOAT32, 32),
        )
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        try:
            return [tuple(np.broadcast_shapes(*(v.shape for v in node.operands)))]
        except ValueError:
            types = " and ".join(f"'{v.name}' {v.type}" for v in node.operands)
            raise ChipfitError("G003", f"{self.name}: {types} cannot be broadcast to one shape") from None

    def check(self, node: Node) -> None:
        condition, a, b, y = node["condition"], node["a"], node["b"], node["y"]
        kinds = {a.dtype, b.dtype, y.dtype}
        if condition.dtype is not DType.BOOL or len(kinds) != 1 or not self.candidates(node):
            raise ChipfitError(
                "O002",
                f"{self.name} '{node.name}' by '{condition.name}' ({condition.type}) of '{a.name}' ({a.type}) and "
                f"'{b.name}' ({b.type}) cannot be compiled; the condition must be bool, the others of one type",
            )
        require_same_quant(Node(self, [a, b], node.outputs))
        if len(collapse_all(*(v.shape for v in node.operands))[0]) > OUTER + 1:
            raise ChipfitError("O002", f"{self.name} '{node.name}' needs more than {OUTER + 1} loops")

    def eval_float(self, node: Node, *x: Array) -> Array:
        return np.where(x[0], x[1], x[2])

    def eval_int(self, node: Node, *x: Array) -> Array:
        return np.where(x[0], x[1], x[2])

    def rows(self, node: Node) -> Rows | str:
        return elementwise_rows(node)

    def slice_rows(self, node: Node, first: int, count: int, padded: bool) -> Node:
        return sliced(node, self, first, first + count, count)

    def call(self, node: Node) -> Call:
        sizes, (c, a, b) = collapse_all(*(v.shape for v in node.operands))
        pad = OUTER - (len(sizes) - 1)
        return Call(
            [Port("condition"), Port("a"), Port("b"), Port("y")],
            {
                "rows": prod(sizes[:-1]),
                "n": sizes[-1],
                "c_step": c[-1],
                "a_step": a[-1],
                "b_step": b[-1],
                "outer": (1,) * pad + sizes[:-1],
                "c_outer": (0,) * pad + c[:-1],
                "a_outer": (0,) * pad + a[:-1],
                "b_outer": (0,) * pad + b[:-1],
            },
            "cf_select_params",
        )

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        cases: list[tuple[Shape, Shape, Shape]] = [
            ((1,), (1,), (1,)),
            ((2, 3, 5), (2, 3, 5), (2, 3, 5)),
            ((2, 1, 5), (2, 3, 5), (1,)),
            ((7,), (3, 1), (1, 7)),
            ((1, 4, 3, 1), (1, 4, 3, 8), (8,)),
            ((3, 1, 2), (1, 5, 1), (1, 1, 2)),
            ((1,), (3, 5), (3, 5)),
            ((3, 1, 5), (3, 4, 1), (1, 4, 5)),
        ]
        for c, a, b in cases:
            condition = TensorType(c, DType.BOOL)
            for type_ in sample_types(rng, *a):
                other = TensorType(b, type_.dtype, type_.quant)
                yield make_node(cls(), {"condition": condition, "a": type_, "b": other}, (type_.dtype, type_.quant))
        for dtype in (DType.UINT8, DType.BOOL):
            x = TensorType((3, 4), dtype)
            yield make_node(cls(), {"condition": TensorType((4,), DType.BOOL), "a": x, "b": x}, (dtype, None))
