"""What the operators that move elements share: one meaning for all element types, and the calls that copy bytes.

TensorFlow Lite copies the stored elements in all of them, also where a file gives input and output different
quantization; so does chipfit. Only where several inputs meet (concatenation, pack) must they agree.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from math import prod
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Node, Quant, Shape, TensorType, Value
from chipfit.ops._base import Call, Op, Port, float_type, int8_type, int16_type, make_node
from chipfit.ops._roles import SHARED, Roles

MAX_RANK = 6
"""Axes that the kernels have loops for, once neighbouring axes have been merged."""


class Move(Op):
    """An operator that moves elements and changes none: ``move`` is its meaning for integers and floats alike."""

    quant: ClassVar[Roles] = SHARED

    def check(self, node: Node) -> None:
        x = node.operands[0]
        for y in node.outputs:
            if y.dtype is not x.dtype:
                raise ChipfitError(
                    "O002", f"{self.name} '{node.name}' moves '{x.name}' ({x.type}) to '{y.name}' ({y.type})"
                )

    @abstractmethod
    def move(self, node: Node, *x: Array) -> Array | tuple[Array, ...]:
        """The outputs: elements of ``x`` in their new places."""

    def eval_float(self, node: Node, *x: Array) -> Array | tuple[Array, ...]:
        return self.move(node, *x)

    def eval_int(self, node: Node, *x: Array) -> Array | tuple[Array, ...]:
        return self.move(node, *x)


def normal_axis(op: Op, axis: int, rank: int) -> int:
    """``axis`` itself. Raises G003 unless it is one of ``rank`` axes."""
    if not 0 <= axis < rank:
        raise ChipfitError("G003", f"{op.name}: there is no axis {axis} among {rank}")
    return axis


def require_same_quant(node: Node) -> None:
    """Raise O002 unless all inputs have the element type and quantization of the output.

    LiteRT refuses such a model; the TFLite Micro kernels copy the elements as if the scales were equal, which gives
    wrong numbers without a word.
    """
    y = node.outputs[0]
    for x in node.operands:
        if x.dtype is not y.dtype or (not y.dtype.is_float and not _same_quant(x.type.quant, y.type.quant)):
            raise ChipfitError(
                "O002",
                f"{node.op.name} '{node.name}': input '{x.name}' ({_describe(x)}) and output '{y.name}' "
                f"({_describe(y)}) have different types or quantization",
                "quantize the model with a converter that gives all of them one scale (TensorFlow's does)",
            )


def _same_quant(a: Quant | None, b: Quant | None) -> bool:
    return a is None or b is None or (a.scale, a.zero_point) == (b.scale, b.zero_point)


def _describe(value: Value) -> str:
    q = value.type.quant
    if q is None or q.axis is not None:
        return str(value.type)
    return f"{value.type}, scale {q.s:g}, zero point {q.zp}"


# ---------------------------------------------------------------------------------------------- calls


def element_strides(shape: Shape) -> list[int]:
    """Elements from one index to the next along each axis of a row-major array."""
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]


def rows_call(src: Port, dst: Port, rows: int, nbytes: int, x_stride: int, y_stride: int) -> Call:
    """A call of cf_copy_rows."""
    return Call([src, dst], {"rows": rows, "bytes": nbytes, "x_stride": x_stride, "y_stride": y_stride})


def merge_strided(axes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Axes of ``(size, stride)``, outermost first, as the fewest that visit the same elements in the same order."""
    merged: list[tuple[int, int]] = []
    for size, stride in axes:
        if size == 1:
            continue
        if merged and merged[-1][1] == size * stride:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    return merged


def strided_call(x: Value, start: int, axes: Sequence[tuple[int, int]]) -> Call:
    """A call of cf_copy_strided: element ``start`` of ``x``, then by ``(size, stride)`` of each axis of the output."""
    merged, run, element = merge_strided(axes), 1, x.dtype.bytes
    if merged and merged[-1][1] == 1:
        run = merged.pop()[0]
    padding = [(1, 0)] * (MAX_RANK - len(merged))
    loops = padding + merged
    return Call(
        [Port("x", offset=start * element), Port("y")],
        {
            "bytes": run * element,
            "size": tuple(size for size, _ in loops),
            "stride": tuple(stride * element for _, stride in loops),
        },
    )


def require_rank(node: Node) -> None:
    """Raise O002 for a tensor with more axes than the kernels have loops."""
    x = node.operands[0]
    if len(x.shape) > MAX_RANK:
        raise ChipfitError("O002", f"{node.op.name} '{node.name}': '{x.name}' ({x.type}) has more than {MAX_RANK} axes")


# ---------------------------------------------------------------------------------------------- samples


def sample_types(rng: np.random.Generator, *shape: int) -> Iterator[TensorType]:
    """One type of each element size that matters: 1 and 2 bytes with quantization, 4 bytes as float and integer."""
    yield int8_type(rng, *shape)
    yield int16_type(rng, *shape)
    yield float_type(*shape)
    yield TensorType(tuple(shape), DType.INT32)


def samples_of(rng: np.random.Generator, cases: Sequence[tuple[Op, Shape]]) -> Iterator[Node]:
    """Nodes of operators with one input: each case with each sample type."""
    for op, shape in cases:
        for x in sample_types(rng, *shape):
            yield make_node(op, {"x": x}, (x.dtype, x.quant))
