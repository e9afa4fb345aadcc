"""Orders of axes: how the elements of a tensor are stored, as seen from the axes that the graph speaks of.

An order says which axis of the value each stored axis is: ``stored = value.transpose(order)``. Axes of size 1 hold no
elements apart, so orders that differ in those alone store the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod

import numpy as np

from chipfit.graph import Array, Quant, Shape, TensorType
from chipfit.ops import Op
from chipfit.ops.reshape import Reshape
from chipfit.ops.transpose import Transpose

Order = tuple[int, ...]


def identity(rank: int) -> Order:
    return tuple(range(rank))


def inverse(order: Order) -> Order:
    return tuple(order.index(axis) for axis in range(len(order)))


def from_to(have: Order, want: Order) -> Order:
    """The transposition that makes of what is stored in one order what is stored in the other."""
    return tuple(have.index(axis) for axis in want)


def composed(first: Order, second: Order) -> Order:
    """One transposition that does what two do."""
    return tuple(first[axis] for axis in second)


def moved(shape: Shape, order: Order) -> Order:
    """The axes that hold elements apart, in the order in which they are stored."""
    return tuple(axis for axis in order if shape[axis] != 1)


def same_bytes(shape: Shape, a: Order, b: Order) -> bool:
    return moved(shape, a) == moved(shape, b)


def is_view(shape: Shape, order: Order) -> bool:
    """Whether a transposition moves no element."""
    return all(a < b for a, b in pairwise(moved(shape, order)))


def stored_shape(shape: Shape, order: Order) -> Shape:
    return tuple(shape[axis] for axis in order)


def stored_type(type_: TensorType, order: Order) -> TensorType:
    """The type of what is stored; scales for each channel stay with their axis."""
    quant = type_.quant
    if quant is not None and quant.axis is not None:
        quant = Quant(quant.scale, quant.zero_point, order.index(quant.axis))
    return TensorType(stored_shape(type_.shape, order), type_.dtype, quant)


def mover(shape: Shape, order: Order) -> Op:
    """The operator that puts a tensor of this shape into this order: a view where nothing moves."""
    return Reshape(stored_shape(shape, order)) if is_view(shape, order) else Transpose(order)


def reshaped(x: Shape, y: Shape, order: Order) -> Order | None:
    """The order of y, which is x reshaped, in which it has the bytes that x has in ``order``.

    None if there is none: where axes are merged that are no longer neighbours. Axes of size 1 keep their places.
    """
    if 0 in x:
        return None
    groups = dict[int, tuple[list[int], list[int]]]()
    for group in _groups(x, y):
        groups.update(dict.fromkeys(group[0], group))
    stored, at, result = moved(x, order), 0, list[int]()
    while at < len(stored):
        merged, split = groups[stored[at]]
        if list(stored[at : at + len(merged)]) != merged:
            return None
        result += split
        at += len(merged)
    places = iter(result)
    return tuple(axis if size == 1 else next(places) for axis, size in enumerate(y))


def _groups(x: Shape, y: Shape) -> Iterator[tuple[list[int], list[int]]]:
    """The fewest neighbouring axes of x and of y that hold the same elements; axes of size 1 are left out."""
    left, right = ([axis for axis, size in enumerate(shape) if size != 1] for shape in (x, y))
    while left:
        a, b = [left.pop(0)], [right.pop(0)]
        while (size := prod(x[i] for i in a)) != (other := prod(y[i] for i in b)):
            if size < other:
                a.append(left.pop(0))
            else:
                b.append(right.pop(0))
        yield a, b


def scrambled(shape: Shape, order: Order, count: int) -> Array | None:
    """Where each of the last ``count`` elements of every row comes from, if ``order`` only moves elements inside of
    rows; None if it moves rows, or if rows are not made of whole axes.
    """
    rank = len(shape)
    first = next((k for k in range(rank + 1) if prod(shape[k:]) == count), None)
    if first is None:
        return None
    stored = moved(shape, order)
    outer = [axis for axis in range(first) if shape[axis] != 1]
    if list(stored[: len(outer)]) != outer:
        return None
    inner: Sequence[int] = stored[len(outer) :]
    grid = np.arange(count).reshape([shape[axis] for axis in sorted(inner)])
    return grid.transpose([sorted(inner).index(axis) for axis in inner]).reshape(-1)
