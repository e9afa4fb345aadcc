"""STRIDED_SLICE in its normal form: masks, an ellipsis and new axes are resolved against the shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from chipfit.graph import Shape
from chipfit.importers.tflite.operator import OperatorImporter


@dataclass(frozen=True)
class DenseSlice:
    """One begin, end and stride for every axis of the input, and the shapes that come of it."""

    begin: tuple[int, ...]
    end: tuple[int, ...]
    strides: tuple[int, ...]
    shrink_axes: tuple[int, ...]
    sliced_shape: Shape
    """After slicing and removing ``shrink_axes``."""
    shape: Shape
    """The same with the new axes of size 1."""


Part = Literal["take", "all", "new"]


def _parts(rank: int, entries: int, options: Any) -> Iterator[tuple[Part, int]]:
    """What each entry of begin, end and strides is for: an axis to slice, a whole axis, or a new one."""
    ellipsis = [i for i in range(entries) if options.ellipsisMask >> i & 1]
    new = [i for i in range(entries) if options.newAxisMask >> i & 1 and i not in ellipsis]
    whole = rank - (entries - len(new) - len(ellipsis))
    whole_axes: list[tuple[Part, int]] = [("all", entries)] * whole
    for i in range(entries):
        if i in ellipsis:
            yield from whole_axes
        else:
            yield ("new" if i in new else "take", i)
    if not ellipsis:
        yield from whole_axes


def dense_slice(
    o: OperatorImporter,
    shape: Shape,
    begin: tuple[int, ...],
    end: tuple[int, ...],
    strides: tuple[int, ...],
    options: Any,
) -> DenseSlice:
    """The slice of ``shape`` that the operator's parameters and masks describe."""
    parts = list(_parts(len(shape), len(begin), options))
    if (
        not len(begin) == len(end) == len(strides)
        or options.ellipsisMask.bit_count() > 1
        or sum(part != "new" for part, _ in parts) != len(shape)
        or 0 in strides
    ):
        raise o.damaged(f"begin {list(begin)}, end {list(end)} and strides {list(strides)} do not fit {list(shape)}")
    ranges: list[range] = []
    shrunk: list[int] = []
    result: list[int] = []
    for part, i in parts:
        axis = len(ranges)
        if part == "new":
            result.append(1)
            continue
        if part == "all":
            ranges.append(range(shape[axis]))
        elif options.shrinkAxisMask >> i & 1:
            index = begin[i] + (shape[axis] if begin[i] < 0 else 0)
            if not 0 <= index < shape[axis]:
                raise o.damaged(f"index {begin[i]} reaches beyond axis {axis} of {list(shape)}")
            ranges.append(range(index, index + 1))
            shrunk.append(axis)
            continue
        else:
            ranges.append(_range(shape[axis], i, begin, end, strides, options))
        result.append(len(ranges[-1]))
    kept = tuple(len(r) for axis, r in enumerate(ranges) if axis not in shrunk)
    if 0 in kept:
        raise o.damaged(f"begin {list(begin)}, end {list(end)} and strides {list(strides)} take nothing")
    return DenseSlice(
        tuple(r.start for r in ranges),
        tuple(r.stop for r in ranges),
        tuple(r.step for r in ranges),
        tuple(shrunk),
        kept,
        tuple(result),
    )


def _range(
    size: int, i: int, begin: tuple[int, ...], end: tuple[int, ...], strides: tuple[int, ...], options: Any
) -> range:
    """The indices that entry ``i`` takes along an axis."""
    first = None if options.beginMask >> i & 1 else begin[i]
    last = None if options.endMask >> i & 1 else end[i]
    if options.offset and last is not None:
        last += begin[i]
    return range(*slice(first, last, strides[i]).indices(size))
