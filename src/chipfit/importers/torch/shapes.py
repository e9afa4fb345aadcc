"""Operators that move elements: views, slices, joins, padding, picking by index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Shape, Value
from chipfit.importers.torch.call import CallImporter, Function


def _viewed(o: CallImporter) -> Value:
    """Whatever the arguments are: the elements of x in order, in the shape that torch says."""
    return o.reshape(o.x, o.shape)


def _permute(o: CallImporter) -> Value:
    x = o.x
    return o.transpose(x, [o.axis(int(d), len(x.shape)) for d in o.args["dims"]])


def _swapped(o: CallImporter, a: int, b: int) -> Value:
    x = o.x
    order = list(range(len(x.shape)))
    if order:
        a, b = o.axis(a, len(order)), o.axis(b, len(order))
        order[a], order[b] = order[b], order[a]
    return o.transpose(x, order)


def expanded(o: CallImporter, x: Value, shape: Shape) -> Value:
    """x with axes of size 1 repeated, and new ones in front."""
    x = o.reshape(x, (1,) * (len(shape) - len(x.shape)) + x.shape)
    return x if x.shape == shape else o.emit("broadcast_to", [x], shape=shape)


def _repeat(o: CallImporter) -> Value:
    """x several times along each axis, and new axes in front."""
    counts = o.ints("repeats") or o.ints("dims")
    x = o.x
    counts = (1,) * (len(x.shape) - len(counts)) + counts
    x = o.reshape(x, (1,) * (len(counts) - len(x.shape)) + x.shape)
    return x if all(n == 1 for n in counts) else o.emit("tile", [x], multiples=counts)


# ---------------------------------------------------------------------------------------------- joins


def _tensors(o: CallImporter) -> list[Value]:
    """Those of a list, of the element type of the result; empty ones say nothing."""
    found = [o.tensor(t) for t in o.args["tensors"] if isinstance(t, Value) or t.numel()]
    return [o.cast(v, o.kind) for v in found]


def _cat(o: CallImporter) -> Value:
    tensors = _tensors(o)
    if len(tensors) == 1:
        return tensors[0]
    return o.emit("concatenation", tensors, axis=o.axis(int(o.get("dim", 0)), len(o.shape)))


def _stack(o: CallImporter) -> Value:
    return o.emit("pack", _tensors(o), axis=o.axis(int(o.get("dim", 0)), len(o.shape)))


def _split(o: CallImporter) -> list[Value]:
    x = o.x
    axis = o.axis(int(o.get("dim", 0)), len(x.shape))
    sizes = tuple(int(result.shape[axis]) for result in o.results)
    return [x] if len(sizes) == 1 else o.emit_all("split", [x], len(sizes), axis=axis, sizes=sizes)


def _unbind(o: CallImporter) -> list[Value]:
    x = o.x
    return o.emit_all("unpack", [x], len(o.results), axis=o.axis(int(o.get("dim", 0)), len(x.shape)))


# ---------------------------------------------------------------------------------------------- slices


def taken(o: CallImporter, x: Value, axis: int, positions: range) -> Value:
    """The elements at these positions of one axis."""
    if positions == range(x.shape[axis]):
        return x
    begin, end, strides = [0] * len(x.shape), list(x.shape), [1] * len(x.shape)
    begin[axis], end[axis], strides[axis] = positions.start, positions.stop, positions.step
    return o.emit("strided_slice", [x], begin=tuple(begin), end=tuple(end), strides=tuple(strides))


def _select(o: CallImporter) -> Value:
    x = o.x
    axis = o.axis(int(o.args["dim"]), len(x.shape))
    at = int(o.args["index"]) % x.shape[axis]
    return o.reshape(taken(o, x, axis, range(at, at + 1)), o.shape)


def _positions(o: CallImporter, size: int) -> range:
    """What ``dim``, ``start``, ``end`` and ``step`` of an operator take of an axis."""
    return range(size)[slice(o.args["start"], o.args["end"], o.get("step", 1))]


def _slice(o: CallImporter) -> Value:
    x = o.x
    axis = o.axis(int(o.get("dim", 0)), len(x.shape))
    return taken(o, x, axis, _positions(o, x.shape[axis]))


def _narrow(o: CallImporter) -> Value:
    x = o.x
    axis = o.axis(int(o.args["dim"]), len(x.shape))
    first = int(o.args["start"]) % x.shape[axis]
    return taken(o, x, axis, range(first, first + int(o.args["length"])))


def _replaced(o: CallImporter, x: Value, source: Value, axis: int, positions: range) -> Value:
    """x with other elements at neighbouring positions of an axis."""
    if positions.step != 1:
        raise ChipfitError("O002", f"step={positions.step} of an assignment cannot be compiled")
    before, after = range(positions.start), range(positions.stop, x.shape[axis])
    parts = [taken(o, x, axis, before)] if before else []
    parts.append(o.cast(source, x.dtype))
    parts += [taken(o, x, axis, after)] if after else []
    return parts[0] if len(parts) == 1 else o.emit("concatenation", parts, axis=axis)


def _slice_scatter(o: CallImporter) -> Value:
    """An assignment to a slice."""
    x = o.x
    axis = o.axis(int(o.get("dim", 0)), len(x.shape))
    return _replaced(o, x, o.operand("src"), axis, _positions(o, x.shape[axis]))


def _select_scatter(o: CallImporter) -> Value:
    """An assignment to one index."""
    x = o.x
    axis = o.axis(int(o.args["dim"]), len(x.shape))
    at = int(o.args["index"]) % x.shape[axis]
    shape = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
    return _replaced(o, x, o.reshape(o.operand("src"), shape), axis, range(at, at + 1))


def _copy(o: CallImporter) -> Value:
    """What is assigned to a whole tensor."""
    return expanded(o, o.cast(o.operand("src"), o.kind), o.shape)


def _flip(o: CallImporter) -> Value:
    x = o.x
    for axis in o.axes("dims", len(x.shape)):
        x = taken(o, x, axis, range(x.shape[axis] - 1, -1, -1))
    return x


def _roll(o: CallImporter) -> Value:
    """What leaves at the end comes in at the front; without axes, of the elements in order."""
    dims = o.ints("dims")
    x = o.x if dims else o.reshape(o.x, (-1 if not o.shape else o.x.type.size,))
    for shift, dim in zip(o.ints("shifts"), dims or (0,), strict=True):
        axis = o.axis(dim, len(x.shape))
        size = x.shape[axis]
        if at := -shift % size:
            parts = [taken(o, x, axis, range(at, size)), taken(o, x, axis, range(at))]
            x = o.emit("concatenation", parts, axis=axis)
    return o.reshape(x, o.shape)


# ---------------------------------------------------------------------------------------------- padding


def _pairs(o: CallImporter, rank: int) -> list[tuple[int, int]]:
    """(before, after) of each axis; torch lists the last axis first."""
    flat = o.ints("pad") if "pad" in o.args else o.ints("padding")
    pairs = [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)]
    return [(0, 0)] * (rank - len(pairs)) + pairs[::-1]


def _constant_pad(o: CallImporter) -> Value:
    """Negative padding cuts off."""
    x = o.x
    pairs = _pairs(o, len(x.shape))
    for axis, (before, after) in enumerate(pairs):
        x = taken(o, x, axis, range(max(0, -before), x.shape[axis] - max(0, -after)))
    pads = tuple((max(0, before), max(0, after)) for before, after in pairs)
    if not any(n for pair in pads for n in pair):
        return x
    value = float(o.get("value", 0))
    return o.emit("pad", [x], pads=pads, value=None if not value else value if x.dtype.is_float else int(value))


def _pad(o: CallImporter) -> Value:
    mode = o.get("mode", "constant")
    if mode == "constant":
        return _constant_pad(o)
    return _border(mode)(o)


def _border(mode: str) -> Function:
    """Padding by elements of x: the index of each output along each axis."""

    def function(o: CallImporter) -> Value:
        x = o.x
        pairs = _pairs(o, len(x.shape))
        if mode == "reflect" and min(min(pair) for pair in pairs) >= 0:
            return o.emit("mirror_pad", [x], pads=tuple(pairs), mode="reflect")
        for axis, (before, after) in enumerate(pairs):
            if before or after:
                index = np.pad(np.arange(x.shape[axis]), (max(0, before), max(0, after)), mode=_MODES[mode])  # type: ignore[call-overload]
                index = index[max(0, -before) : len(index) - max(0, -after)]
                x = _picked(o, x, axis, index)
        return x

    return function


_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""Of torch -> of numpy."""


# ---------------------------------------------------------------------------------------------- picking


def _picked(o: CallImporter, x: Value, axis: int, index: Array) -> Value:
    """The elements of an axis at constant positions."""
    index = np.where(index < 0, index + x.shape[axis], index)
    return o.emit("gather", [x, o.constant("indices", index.astype(np.int32))], x.dtype, axis=axis)


def _index_select(o: CallImporter) -> Value:
    x = o.x
    axis = o.axis(int(o.args["dim"]), len(x.shape))
    return o.emit("gather", [x, o.cast(o.operand("index"), DType.INT32)], x.dtype, axis=axis)


def _embedding(o: CallImporter) -> Value:
    table = o.operand("weight")
    return o.emit("gather", [table, o.cast(o.operand("indices"), DType.INT32)], table.dtype)


def _index(o: CallImporter) -> Value:
    """Rows of one axis, or of several neighbouring axes, each apart from the others: x[:, rows[:, None], columns]."""
    x, indices = o.x, o.args["indices"]
    given = [(axis, item) for axis, item in enumerate(indices) if item is not None]
    if any(o.tensor(item).dtype is DType.BOOL for _, item in given):
        raise ChipfitError("O002", "it picks as many elements as a mask says", "use torch.where")
    if len(given) == 1:
        axis, item = given[0]
        index = o.tensor(item)
        if index.is_const:
            return _picked(o, x, axis, index.array)
        return o.emit("gather", [x, o.cast(index, DType.INT32)], x.dtype, axis=axis)
    for axis, index in _apart(o, given):
        x = _picked(o, x, axis, index)
    return x


def _apart(o: CallImporter, given: Sequence[tuple[int, Any]]) -> list[tuple[int, Array]]:
    """Constant indices that are as many as axes of the result, each along its own. Raises ChipfitError O002."""
    values = [o.tensor(item) for _, item in given]
    axes = [axis for axis, _ in given]
    if all(v.is_const for v in values) and axes == list(range(axes[0], axes[0] + len(axes))):
        rank = max(len(v.shape) for v in values)
        shapes = [(1,) * (rank - len(v.shape)) + v.shape for v in values]
        if rank == len(axes) and all(n == 1 for i, shape in enumerate(shapes) for j, n in enumerate(shape) if i != j):
            return [(axis, v.array.reshape(-1)) for axis, v in zip(axes, values, strict=True)]
    raise ChipfitError("O002", "it picks single elements by several indices", "pick along one axis after the other")


SHAPES: dict[str, Function] = {
    **dict.fromkeys(("view", "_unsafe_view", "_reshape_alias", "view_as", "reshape", "reshape_as", "ravel"), _viewed),
    **dict.fromkeys(("flatten", "unflatten", "squeeze", "unsqueeze"), _viewed),
    "permute": _permute,
    **dict.fromkeys(("transpose", "swapaxes"), lambda o: _swapped(o, int(o.args["dim0"]), int(o.args["dim1"]))),
    "t": lambda o: _swapped(o, 0, -1),
    **dict.fromkeys(("expand", "expand_as"), lambda o: expanded(o, o.x, o.shape)),
    **dict.fromkeys(("repeat", "tile"), _repeat),
    **dict.fromkeys(("cat", "concat"), _cat),
    "stack": _stack,
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "tensor_split"), _split),
    "unbind": _unbind,
    "select": _select,
    "slice": _slice,
    "narrow": _narrow,
    "slice_scatter": _slice_scatter,
    "select_scatter": _select_scatter,
    "copy": _copy,
    "flip": _flip,
    "roll": _roll,
    "pad": _pad,
    "constant_pad_nd": _constant_pad,
    **dict.fromkeys(("reflection_pad1d", "reflection_pad2d"), _border("reflect")),
    **dict.fromkeys(("replication_pad1d", "replication_pad2d"), _border("replicate")),
    "index_select": _index_select,
    "embedding": _embedding,
    **dict.fromkeys(("index", "_unsafe_index"), _index),
}
