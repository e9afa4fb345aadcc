"""Operators on two tensors of different shapes: numpy's broadcasting, collapsed to the fewest loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Node, Quant, Shape, TensorType
from chipfit.ops._base import Call, Op, Port, float_type, int8_type, int16_type, make_node
from chipfit.ops._roles import OWN, Roles
from chipfit.ops._traversal import Rows, elementwise_rows, sliced

Params = dict[str, int | float | tuple[int, ...]]

OUTER = 5
"""Loops around the innermost one that the C kernels have (``CF_OUTER``)."""


def broadcast_shape(node: Node, a: str, b: str) -> Shape:
    va, vb = node[a], node[b]
    try:
        return tuple(np.broadcast_shapes(va.shape, vb.shape))
    except ValueError:
        raise ChipfitError(
            "G003",
            f"{node.op.name}: '{va.name}' {va.type} and '{vb.name}' {vb.type} cannot be broadcast to one shape",
        ) from None


@dataclass(frozen=True)
class Loops:
    """The loops over an output and how far each moves in the two operands, outermost first, innermost last."""

    sizes: tuple[int, ...]
    a: tuple[int, ...]
    b: tuple[int, ...]

    def params(self) -> Params:
        """As fields of the C structs: the innermost loop by itself, the others as arrays."""
        pad = OUTER - (len(self.sizes) - 1)
        outer = self.sizes[:-1]
        return {
            "rows": prod(outer),
            "n": self.sizes[-1],
            "a_step": self.a[-1],
            "b_step": self.b[-1],
            "outer": (1,) * pad + outer,
            "a_outer": (0,) * pad + self.a[:-1],
            "b_outer": (0,) * pad + self.b[:-1],
        }


def collapse(a: Shape, b: Shape) -> Loops:
    """The loops over two operands."""
    sizes, (steps_a, steps_b) = collapse_all(a, b)
    return Loops(sizes, steps_a, steps_b)


def collapse_all(*shapes: Shape) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Merge neighbouring axes in which the same operands go on and the others stand still.

    Sizes of the loops over the output, and for each operand how far they move in it, outermost first.
    """
    rank = max(len(shape) for shape in shapes)
    merged: list[tuple[int, tuple[bool, ...]]] = []
    for axis in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True):
        size = max(axis)
        if size == 1:
            continue
        moves = tuple(n == size for n in axis)
        if merged and merged[-1][1] == moves:
            merged[-1] = (merged[-1][0] * size, moves)
        else:
            merged.append((size, moves))
    merged = merged or [(1, (True,) * len(shapes))]
    steps = [[0] * len(merged) for _ in shapes]
    for of, step in zip(range(len(shapes)), steps, strict=True):
        along = 1
        for i in reversed(range(len(merged))):
            size, moves = merged[i]
            if moves[of]:
                step[i], along = along, along * size
    return tuple(size for size, _ in merged), tuple(tuple(step) for step in steps)


def loops_of(node: Node, a: str, b: str) -> Loops:
    loops = collapse(node[a].shape, node[b].shape)
    if len(loops.sizes) > OUTER + 1:
        raise ChipfitError(
            "O002",
            f"{node.op.name} '{node.name}': {node[a].type} and {node[b].type} need {len(loops.sizes)} loops, "
            f"{OUTER + 1} can be compiled",
            "reshape the operands so that fewer broadcast axes alternate",
        )
    return loops


class Binary(Op):
    """Base of operators on a and b."""

    quant: ClassVar[Roles] = OWN

    inputs = ("a", "b")

    def infer(self, node: Node) -> Sequence[Shape]:
        return [broadcast_shape(node, "a", "b")]

    def rows(self, node: Node) -> Rows | str:
        return elementwise_rows(node)

    def slice_rows(self, node: Node, first: int, count: int, padded: bool) -> Node:
        return sliced(node, self, first, first + count, count)


def broadcast_call(node: Node, params: Params, struct: str | None = None, a: str = "a", b: str = "b") -> Call:
    """The call of a kernel that runs the collapsed loops: both operands, the output, loops and ``params``."""
    return Call([Port(a), Port(b), Port("y")], {**loops_of(node, a, b).params(), **params}, struct)


PAIRS: tuple[tuple[Shape, Shape], ...] = (
    ((1,), (1,)),
    ((2, 3, 5, 7), (2, 3, 5, 7)),
    ((1, 3, 1, 5), (2, 1, 4, 5)),
    ((1, 4, 3, 8), (8,)),
    ((5,), (1, 2, 3, 5)),
    ((1, 4, 3, 8), (1, 1, 1, 8)),
    ((1, 1, 1, 6), (1, 4, 3, 6)),
    ((1, 4, 3, 8), (1, 1)),
    ((1,), (3, 11)),
    ((2, 1, 3, 1, 2), (1, 4, 1, 5, 1)),
    ((3, 1), (1, 7)),
)
"""Shapes for samples: equal, one number, one row, alternating axes, rank 5."""


def binary_samples(
    rng: np.random.Generator, op: Op, result_scale: float = 1.0, same_quant: bool = False, pairs: slice = slice(None)
) -> Iterator[Node]:
    """int8 and float32 nodes over :data:`PAIRS`, each also with a constant on one side.

    ``result_scale``: about how much larger the results are than the operands (in units of their scales).
    """
    for i, (a_shape, b_shape) in enumerate(PAIRS[pairs]):
        a, b = int8_type(rng, *a_shape), int8_type(rng, *b_shape)
        if same_quant:
            b = int8_type(rng, *b_shape, scale=a.q.s, zero_point=a.q.zp)
        wide = max(a.q.s, b.q.s) * result_scale * float(rng.uniform(0.6, 2.0))
        y = a.q if same_quant else Quant.per_tensor(wide, int(rng.integers(-128, 128)))
        constant = rng.integers(-128, 128, (a_shape, b_shape)[i % 2], dtype=np.int8)
        yield make_node(op, {"a": a, "b": b}, (DType.INT8, y))
        mixed = {"a": (a, constant), "b": b} if i % 2 == 0 else {"a": a, "b": (b, constant)}
        yield make_node(op, mixed, (DType.INT8, y))
        yield make_node(op, {"a": float_type(*a_shape), "b": float_type(*b_shape)}, (DType.FLOAT32, None))
        constant_f = rng.normal(0, 2, a_shape).astype(np.float32)
        yield make_node(op, {"a": constant_f, "b": float_type(*b_shape)}, (DType.FLOAT32, None))


def scaled_sample(rng: np.random.Generator, op: Op, a_scale: float, b_scale: float, y_scale: float) -> Node:
    """An int8 node with scales that random ones don't meet."""
    a = int8_type(rng, 8, 31, scale=a_scale, zero_point=3)
    b = int8_type(rng, 8, 31, scale=b_scale, zero_point=-5)
    return make_node(op, {"a": a, "b": b}, (DType.INT8, Quant.per_tensor(y_scale, int(rng.integers(-128, 128)))))


def int16_samples(
    rng: np.random.Generator, make: Callable[..., Op], result_scale: float = 1.0, same_quant: bool = False
) -> Iterator[Node]:
    """int16 nodes over :data:`PAIRS`, each also with a constant on one side; with every activation that ``make`` takes.

    ``result_scale``: about how much larger the stored results would be than the operands in units of their scales.
    """
    names = ("none", "relu", "relu6", "relu_n1_to_1") if "act" in make().attributes() else (None,)
    for i, (a_shape, b_shape) in enumerate(PAIRS):
        op = make() if names[i % len(names)] is None else make(names[i % len(names)])
        a, b = int16_type(rng, *a_shape), int16_type(rng, *b_shape)
        if same_quant:
            b = int16_type(rng, *b_shape, scale=a.q.s)
        product = a.q.s * b.q.s if result_scale > 1 else max(a.q.s, b.q.s)
        y = a.q if same_quant else Quant.per_tensor(product * result_scale * float(rng.uniform(0.6, 2.0)))
        constant = rng.integers(-32768, 32768, (a_shape, b_shape)[i % 2], dtype=np.int16)
        yield make_node(op, {"a": a, "b": b}, (DType.INT16, y))
        mixed = {"a": (a, constant), "b": b} if i % 2 == 0 else {"a": a, "b": (b, constant)}
        yield make_node(op, mixed, (DType.INT16, y))
    powers = TensorType((8, 31), DType.INT16, Quant.per_tensor(2.0**-11))  # exact halves of both signs
    yield make_node(make(), {"a": powers, "b": powers}, (DType.INT16, powers.q if same_quant else _twice(powers.q)))


def _twice(quant: Quant) -> Quant:
    return Quant.per_tensor(2 * quant.s)


def int32_samples(rng: np.random.Generator, op: Op) -> Iterator[Node]:
    for a_shape, b_shape in PAIRS[:4]:
        a, b = TensorType(a_shape, DType.INT32), TensorType(b_shape, DType.INT32)
        yield make_node(op, {"a": a, "b": b}, (DType.INT32, None))
        constant: Array = rng.integers(-1000, 1000, b_shape, dtype=np.int32)
        yield make_node(op, {"a": a, "b": constant}, (DType.INT32, None))
