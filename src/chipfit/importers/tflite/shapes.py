"""Operators that move elements: parameters of constant tensors become normalised attributes."""

from __future__ import annotations

import math
from collections.abc import Callable

from chipfit.graph import Shape, Value
from chipfit.importers.tflite.model import schema
from chipfit.importers.tflite.operator import OperatorImporter
from chipfit.importers.tflite.slices import dense_slice


def reshape(o: OperatorImporter) -> None:
    x = o.input(0)
    if o.input_count > 1:
        wanted = o.integers(1, "the shape")
    else:
        wanted = tuple(int(d) for d in _list(o.options("ReshapeOptions").newShape))
    o.emit("reshape", [x], shape=_resolved(o, x, wanted))


def _resolved(o: OperatorImporter, x: Value, wanted: Shape) -> Shape:
    """The shape with its one -1 replaced by what is left."""
    # models of the first converters write a scalar's shape as [0]
    if wanted == (0,) and x.type.size == 1:
        return ()
    if wanted.count(-1) > 1 or any(d < -1 for d in wanted):
        raise o.damaged(f"'{x.name}' is to have the shape {list(wanted)}")
    if -1 not in wanted:
        return wanted
    rest = math.prod(d for d in wanted if d != -1)
    if rest == 0 or x.type.size % rest:
        raise o.damaged(f"'{x.name}' ({x.type}) cannot have the shape {list(wanted)}")
    return tuple(x.type.size // rest if d == -1 else d for d in wanted)


def squeeze(o: OperatorImporter) -> None:
    x = o.input(0)
    rank = len(x.shape)
    axes = [o.axis(int(a), rank) for a in _list(o.options("SqueezeOptions").squeezeDims)]
    every = [axis for axis, size in enumerate(x.shape) if size == 1]
    o.emit("squeeze", [x], axes=tuple(sorted(set(axes))) or tuple(every))


def expand_dims(o: OperatorImporter) -> None:
    x = o.input(0)
    o.emit("expand_dims", [x], axis=o.axis(o.integer(1, "the axis"), len(x.shape) + 1))


def _paddings(o: OperatorImporter, x: Value) -> tuple[tuple[int, int], ...]:
    """(before, after) for each axis, from input 1."""
    flat = o.integers(1, "the paddings")
    if len(flat) != 2 * len(x.shape) or any(n < 0 for n in flat):
        raise o.damaged(f"the paddings of '{x.name}' ({x.type}) are {list(flat)}")
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def pad(o: OperatorImporter) -> None:
    """PAD, and PADV2 with its value."""
    x = o.input(0)
    pads = _paddings(o, x)
    value: float | int | None = None
    if o.input_count > 2:
        element = o.constant(2, "the padding value")
        if element.size != 1 or element.dtype != x.dtype.numpy:
            raise o.damaged(f"the padding value of '{x.name}' ({x.type}) is {element.dtype}{list(element.shape)}")
        value = element.reshape(-1)[0].item()
    o.emit("pad", [x], pads=pads, value=value)


def mirror_pad(o: OperatorImporter) -> None:
    x, modes = o.input(0), {schema.MirrorPadMode.REFLECT: "reflect", schema.MirrorPadMode.SYMMETRIC: "symmetric"}
    mode = modes.get(o.options("MirrorPadOptions").mode)
    pads = _paddings(o, x)
    least = int(mode == "reflect")
    if mode is None or any(max(pad) > max(0, size - least) for size, pad in zip(x.shape, pads, strict=True)):
        raise o.damaged(f"'{x.name}' ({x.type}) cannot be mirrored as far as {list(pads)} ({mode})")
    o.emit("mirror_pad", [x], pads=pads, mode=mode)


def reverse_v2(o: OperatorImporter) -> None:
    x = o.input(0)
    o.emit("reverse_v2", [x], axes=tuple(sorted({o.axis(a, len(x.shape)) for a in o.integers(1, "the axes")})))


def tile(o: OperatorImporter) -> None:
    x, multiples = o.input(0), o.integers(1, "the multiples")
    if len(multiples) != len(x.shape):
        raise o.damaged(f"'{x.name}' ({x.type}) is to be repeated {list(multiples)} times")
    o.emit("tile", [x], multiples=o.positive("the multiples", *multiples))


def broadcast_to(o: OperatorImporter) -> None:
    x, shape = o.input(0), o.positive("the shape", *o.integers(1, "the shape"))
    sizes = list(zip(x.shape[::-1], shape[::-1], strict=False))
    if len(x.shape) > len(shape) or any(size not in (1, wanted) for size, wanted in sizes):
        raise o.damaged(f"'{x.name}' ({x.type}) cannot have the shape {list(shape)}")
    o.emit("broadcast_to", [x], shape=shape)


def blocks(name: str, options: str) -> Callable[[OperatorImporter], None]:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH."""

    def function(o: OperatorImporter) -> None:
        (block,) = o.positive("the block", int(o.options(options).blockSize))
        o.emit(name, [o.of_rank(0, 4)], block=block)

    return function


def batches(name: str, margins: str) -> Callable[[OperatorImporter], None]:
    """SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND. ``margins``: the attribute that input 2 is."""

    def function(o: OperatorImporter) -> None:
        block, flat = o.positive("the block", *o.integers(1, "the block")), o.integers(2, f"the {margins}")
        if len(flat) != 2 * len(block) or any(n < 0 for n in flat):
            raise o.damaged(f"the block is {list(block)}, but the {margins} are {list(flat)}")
        o.emit(name, [o.input(0)], block=block, **{margins: tuple(zip(flat[::2], flat[1::2], strict=True))})

    return function


def transpose(o: OperatorImporter) -> None:
    x = o.input(0)
    perm = tuple(o.axis(a, len(x.shape)) for a in o.integers(1, "the permutation"))
    if sorted(perm) != list(range(len(x.shape))):
        raise o.damaged(f"{list(perm)} does not permute the axes of '{x.name}' ({x.type})")
    o.emit("transpose", [x], perm=perm)


def concatenation(o: OperatorImporter) -> None:
    options, rank = o.options("ConcatenationOptions"), len(o.input(0).shape)
    o.emit("concatenation", o.inputs, axis=o.axis(options.axis, rank), act=o.activation(options))


def slice_(o: OperatorImporter) -> None:
    x, begin, size = o.input(0), o.integers(1, "the begin"), o.integers(2, "the size")
    if not len(begin) == len(size) == len(x.shape):
        raise o.damaged(f"begin {list(begin)} and size {list(size)} do not fit '{x.name}' ({x.type})")
    taken = tuple(d - b if s == -1 else s for d, b, s in zip(x.shape, begin, size, strict=True))
    if any(b < 0 or s < 1 or b + s > d for d, b, s in zip(x.shape, begin, taken, strict=True)):
        raise o.damaged(f"begin {list(begin)} and size {list(size)} reach beyond '{x.name}' ({x.type})")
    o.emit("slice", [x], begin=begin, size=taken)


def strided_slice(o: OperatorImporter) -> None:
    x, options = o.input(0), o.options("StridedSliceOptions")
    begin, end, strides = (o.integers(i, what) for i, what in enumerate(("the begin", "the end", "the strides"), 1))
    plan = dense_slice(o, x.shape, begin, end, strides, options)
    attributes = {
        "begin": plan.begin,
        "end": plan.end,
        "strides": plan.strides,
        "shrink_axes": plan.shrink_axes,
    }
    if plan.shape == plan.sliced_shape:
        o.emit("strided_slice", [x], **attributes)
        return
    sliced = o.emit_before("strided_slice", [x], plan.sliced_shape, **attributes)
    o.emit("reshape", [sliced], shape=plan.shape)


def split(o: OperatorImporter) -> None:
    x, count = o.input(1), len(o.record.outputs)
    axis = o.axis(o.integer(0, "the axis"), len(x.shape))
    if count == 0 or x.shape[axis] % count or o.options("SplitOptions").numSplits != count:
        raise o.damaged(f"'{x.name}' ({x.type}) cannot be split in {count} equal parts along axis {axis}")
    o.emit("split", [x], axis=axis, sizes=(x.shape[axis] // count,) * count)


def split_v(o: OperatorImporter) -> None:
    x, sizes = o.input(0), o.integers(1, "the sizes")
    axis = o.axis(o.integer(2, "the axis"), len(x.shape))
    if -1 in sizes:
        rest = x.shape[axis] - sum(n for n in sizes if n != -1)
        sizes = tuple(rest if n == -1 else n for n in sizes)
    if len(sizes) != len(o.record.outputs) or any(n < 1 for n in sizes) or sum(sizes) != x.shape[axis]:
        raise o.damaged(f"'{x.name}' ({x.type}) cannot be split in parts of {list(sizes)} along axis {axis}")
    o.emit("split", [x], axis=axis, sizes=sizes)


def pack(o: OperatorImporter) -> None:
    options, rank = o.options("PackOptions"), len(o.input(0).shape)
    if options.valuesCount != o.input_count:
        raise o.damaged(f"it packs {options.valuesCount} tensors, but has {o.input_count}")
    o.emit("pack", o.inputs, axis=o.axis(options.axis, rank + 1))


def unpack(o: OperatorImporter) -> None:
    x, options = o.input(0), o.options("UnpackOptions")
    axis = o.axis(options.axis, len(x.shape))
    if not options.num == len(o.record.outputs) == x.shape[axis]:
        raise o.damaged(f"it has {len(o.record.outputs)} outputs for '{x.name}' ({x.type}) along axis {axis}")
    o.emit("unpack", [x], axis=axis)


def gather(o: OperatorImporter) -> None:
    x, indices, options = o.input(0), o.input(1), o.options("GatherOptions")
    axis = o.axis(options.axis, len(x.shape))
    batch_dims = options.batchDims + (len(indices.shape) if options.batchDims < 0 else 0)
    if not 0 <= batch_dims <= min(axis, len(indices.shape)):
        raise o.damaged(f"batch dimensions {options.batchDims} with axis {axis} and indices {indices.type}")
    if indices.is_const and indices.type.size:
        least, greatest = int(indices.array.min()), int(indices.array.max())
        if least < 0 or greatest >= x.shape[axis]:
            raise o.damaged(f"indices {least}..{greatest} reach beyond '{x.name}' ({x.type}) along axis {axis}")
    o.emit("gather", [x, indices], axis=axis, batch_dims=batch_dims)


def _list(numbers: object) -> list[int]:
    """A vector of the schema's record: absent, a list or a numpy array."""
    return [] if numbers is None else [int(n) for n in list(numbers)]  # type: ignore[call-overload]
