"""Operators that move elements: shapes, slices, padding, repetition."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Shape, Value
from chipfit.importers.onnx.node import Function, NodeImporter

_WIDEST = 1 << 16
"""Elements on one side by which constant indices pad."""


def _sized(o: NodeImporter) -> Array | Value:
    """Operand 0 as it is: its shape is known even where its elements are not."""
    operand = o.operands[0]
    if operand is None:
        raise ChipfitError("F003", "it has no input")
    return operand


def shape(o: NodeImporter) -> Array:
    sizes = _sized(o).shape
    rank = len(sizes)
    start, end = int(o.attribute("start", 0)), o.attribute("end")
    return np.array(sizes[slice(start, rank if end is None else int(end))], np.int64)


def size(o: NodeImporter) -> Array:
    return np.array(math.prod(_sized(o).shape), np.int64)


def reshape(o: NodeImporter) -> Value:
    """0 keeps a size (unless ``allowzero``), -1 is what is left."""
    x, wanted = o.x, o.setting("shape", 1)
    if wanted is None:
        raise ChipfitError("F003", "it has no shape")
    if not o.attribute("allowzero", 0):
        if any(n == 0 and i >= len(x.shape) for i, n in enumerate(wanted)):
            raise ChipfitError("O002", f"'{x.name}' ({x.type}) cannot have the shape {list(wanted)}")
        wanted = tuple(x.shape[i] if n == 0 else n for i, n in enumerate(wanted))
    return o.reshape(x, resolved(x, wanted))


def resolved(x: Value, wanted: Shape) -> Shape:
    """A shape with its one -1 replaced by what is left of the elements of x."""
    rest = math.prod(n for n in wanted if n != -1)
    if wanted.count(-1) > 1 or any(n < -1 for n in wanted) or rest <= 0 or x.type.size % rest:
        raise ChipfitError("O002", f"'{x.name}' ({x.type}) cannot have the shape {list(wanted)}")
    found = tuple(x.type.size // rest if n == -1 else n for n in wanted)
    if math.prod(found) != x.type.size:
        hint = "a batch other than 1 may be written into the model: export it with batch 1"
        raise ChipfitError("O002", f"'{x.name}' ({x.type}) cannot have the shape {list(found)}", hint)
    return found


def flatten(o: NodeImporter) -> Value:
    x, axis = o.x, int(o.attribute("axis", 1))
    rank = len(x.shape)
    axis = rank if axis == rank else o.axis(axis, rank)
    return o.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def squeeze(o: NodeImporter) -> Value:
    x, setting = o.x, o.setting("axes", 1)
    rank = len(x.shape)
    gone = [i for i, n in enumerate(x.shape) if n == 1] if setting is None else o.axes(setting, rank)
    if any(x.shape[i] != 1 for i in gone):
        raise ChipfitError("O002", f"axes {list(gone)} of '{x.name}' ({x.type}) are not all of size 1")
    return o.reshape(x, [n for i, n in enumerate(x.shape) if i not in gone])


def unsqueeze(o: NodeImporter) -> Value:
    x, setting = o.x, o.setting("axes", 1)
    if setting is None:
        raise ChipfitError("F003", "it has no axes")
    sizes = list(x.shape)
    for axis in o.axes(setting, len(sizes) + len(setting)):
        sizes.insert(axis, 1)
    return o.reshape(x, sizes)


def transpose(o: NodeImporter) -> Value:
    x = o.x
    rank = len(x.shape)
    perm = [int(n) for n in o.attribute("perm", list(range(rank))[::-1])]
    if sorted(perm) != list(range(rank)):
        raise ChipfitError("O002", f"{perm} does not order the axes of '{x.name}' ({x.type})")
    return o.transpose(x, perm)


def concat(o: NodeImporter) -> Value:
    """Operands without elements add nothing."""
    values = [o.real(v) for v in o.operands if v is not None and math.prod(v.shape)]
    if not values:
        raise ChipfitError("O002", "it has no inputs with elements")
    axis = o.axis(int(o.attribute("axis", 0)), len(values[0].shape))
    return values[0] if len(values) == 1 else o.emit("concatenation", values, axis=axis)


def split(o: NodeImporter) -> list[Value]:
    x, count = o.x, len(o.node.output)
    axis = o.axis(int(o.attribute("axis", 0)), len(x.shape))
    sizes = o.setting("split", 1)
    if sizes is None:
        part = -(-x.shape[axis] // int(o.attribute("num_outputs", count) or 1))
        sizes = tuple(min(part, x.shape[axis] - i * part) for i in range(count))
    if len(sizes) != count or min(sizes, default=0) < 1 or sum(sizes) != x.shape[axis]:
        raise ChipfitError("O002", f"parts of {list(sizes)} do not fit '{x.name}' ({x.type}) along axis {axis}")
    return [x] if count == 1 else o.emit_all("split", [x], count, axis=axis, sizes=tuple(sizes))


def slice_(o: NodeImporter) -> Value:
    x = o.x
    rank = len(x.shape)
    starts, ends = o.setting("starts", 1), o.setting("ends", 2)
    if starts is None or ends is None:
        raise ChipfitError("F003", "it has no starts or ends")
    axes, steps = o.setting("axes", 3), o.setting("steps", 4)
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise ChipfitError("O002", f"starts {list(starts)}, ends {list(ends)}, axes {list(axes)}, steps {list(steps)}")
    ranges = [range(n) for n in x.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        at = o.axis(axis, rank)
        ranges[at] = range(*slice(start, _end(end, step, x.shape[at]), step).indices(x.shape[at]))
    return take(o, x, ranges)


def _end(end: int, step: int, size: int) -> int | None:
    """The end of a slice; one that lies before the first element is none."""
    return None if step < 0 and end < -size else end


def take(o: NodeImporter, x: Value, ranges: Sequence[range]) -> Value:
    """The elements of x in these ranges of its axes."""
    if any(not r for r in ranges):
        raise ChipfitError("O002", f"nothing is taken of '{x.name}' ({x.type})")
    if all(r == range(n) for r, n in zip(ranges, x.shape, strict=True)):
        return x
    if all(r.step == 1 for r in ranges):
        return o.emit("slice", [x], begin=tuple(r.start for r in ranges), size=tuple(len(r) for r in ranges))
    # one element has no direction
    begin, step = tuple(r.start for r in ranges), tuple(r.step if len(r) > 1 else 1 for r in ranges)
    end = tuple(b + 1 if len(r) == 1 else r.stop for r, b in zip(ranges, begin, strict=True))
    return o.emit("strided_slice", [x], begin=begin, end=end, strides=step)


def gather(o: NodeImporter) -> Value:
    """A constant index is a slice; others are constant or int32."""
    x = o.x
    rank = len(x.shape)
    axis = o.axis(int(o.attribute("axis", 0)), rank)
    if not o.is_const(1):
        return o.emit("gather", [x, o.cast(o.value(1), DType.INT32)], axis=axis)
    indices = o.array(1, "indices").astype(np.int64)
    count = x.shape[axis]
    if indices.size and (indices.min() < -count or indices.max() >= count):
        raise ChipfitError("O002", f"an index lies outside of '{x.name}' ({x.type}) along axis {axis}")
    indices = np.where(indices < 0, indices + count, indices)
    if indices.ndim == 0:
        ranges = [range(n) for n in x.shape]
        ranges[axis] = range(int(indices), int(indices) + 1)
        return o.reshape(take(o, x, ranges), x.shape[:axis] + x.shape[axis + 1 :])
    return o.emit("gather", [x, o.constant("indices", indices)], axis=axis)


def along(o: NodeImporter, x: Value, axis: int, indices: Array) -> Value:
    """x at constant indices along an axis."""
    if np.array_equal(indices, np.arange(x.shape[axis])):
        return x
    return o.emit("gather", [x, o.constant("indices", indices)], axis=axis)


def gather_nd(o: NodeImporter) -> Value:
    if o.attribute("batch_dims", 0):
        raise o.refuse("batch_dims", "use Gather")
    return o.emit("gather_nd", [o.x, o.cast(o.value(1), DType.INT32)])


def pad(o: NodeImporter) -> Value:
    """Negative padding takes away. Modes other than constant and reflect pick elements by constant indices."""
    x, flat = o.x, o.setting("pads", 1)
    rank = len(x.shape)
    axes = o.integers(3, "axes") if o.has(3) else tuple(range(rank))
    if flat is None or len(flat) != 2 * len(axes):
        raise ChipfitError("O002", f"pads {flat} are not for {len(axes)} axes")
    around = [(0, 0)] * rank
    for i, axis in enumerate(axes):
        around[o.axis(axis, rank)] = (flat[i], flat[i + len(axes)])
    mode = o.attribute("mode", "constant")
    x = take(o, x, [range(max(0, -b), n - max(0, -a)) for n, (b, a) in zip(x.shape, around, strict=True)])
    pads = tuple((max(0, before), max(0, after)) for before, after in around)
    if not any(map(any, pads)):
        return x
    if mode == "constant":
        value = o.number(2, "the value") if o.has(2) else float(o.attribute("value", 0.0))
        stored = None if not value else value if x.dtype.is_float else int(value)
        return o.emit("pad", [x], pads=pads, value=stored)
    if mode == "reflect":
        return o.emit("mirror_pad", [x], pads=pads, mode="reflect")
    if mode not in ("edge", "wrap"):
        raise o.refuse("mode", "use constant, reflect, edge or wrap")
    if max(max(pair) for pair in pads) > _WIDEST:
        raise ChipfitError("O002", f"pads {list(flat)} are wider than {_WIDEST:,}", "pad by less")
    for axis, pair in enumerate(pads):
        x = along(o, x, axis, np.pad(np.arange(x.shape[axis]), pair, mode=mode))
    return x


def expand(o: NodeImporter) -> Value:
    x, wanted = o.x, o.integers(1, "the shape")
    try:
        target = np.broadcast_shapes(x.shape, wanted)
    except ValueError:
        raise ChipfitError("O002", f"'{x.name}' ({x.type}) cannot be broadcast to {list(wanted)}") from None
    return _repeated(o, x, target)


def _repeated(o: NodeImporter, x: Value, target: Shape) -> Value:
    full = (1,) * (len(target) - len(x.shape)) + x.shape
    x = o.reshape(x, full)
    return (
        x if full == target else o.emit("tile", [x], multiples=tuple(t // n for t, n in zip(target, full, strict=True)))
    )


def tile(o: NodeImporter) -> Value:
    x, counts = o.x, o.integers(1, "repeats")
    if len(counts) != len(x.shape) or min(counts, default=1) < 1:
        raise ChipfitError("O002", f"repeats {list(counts)} do not fit '{x.name}' ({x.type})")
    return x if set(counts) <= {1} else o.emit("tile", [x], multiples=counts)


def cumulative_sum(o: NodeImporter) -> Value:
    x = o.x
    axis = o.axis(o.integers(1, "axis")[0], len(x.shape))
    exclusive, reverse = bool(o.attribute("exclusive", 0)), bool(o.attribute("reverse", 0))
    return o.emit("cumsum", [x], axis=axis, exclusive=exclusive, reverse=reverse)


def trilu(o: NodeImporter) -> Value:
    """The upper or lower triangle of matrices: the other one is multiplied by 0."""
    x = o.x
    if len(x.shape) < 2:
        raise ChipfitError("O002", f"'{x.name}' ({x.type}) is no matrix")
    k = o.integers(1, "k")[0] if o.has(1) else 0
    ones = np.ones(x.shape[-2:], np.float32)
    kept = np.triu(ones, k) if o.attribute("upper", 1) else np.tril(ones, k)
    return o.emit("mul", [x, o.constant("triangle", kept.astype(x.dtype.numpy))])


SHAPES: dict[str, Function] = {
    "Shape": shape,
    "Size": size,
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Concat": concat,
    "Split": split,
    "Slice": slice_,
    "Gather": gather,
    "GatherND": gather_nd,
    "Pad": pad,
    "Expand": expand,
    "Tile": tile,
    "CumSum": cumulative_sum,
    "Trilu": trilu,
}
