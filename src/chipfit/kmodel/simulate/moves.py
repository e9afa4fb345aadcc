"""Nodes that move bytes and compute nothing, but for the means of a bilinear resize."""

from __future__ import annotations

import numpy as np

from chipfit.graph import Array
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.codec import DataType
from chipfit.kmodel.format.layout import MapLayout
from chipfit.kmodel.format.nodes import ResizeMode
from chipfit.kmodel.simulate.memory import Memories


def concat(node: v4.Concat, memories: Memories) -> None:
    parts = [memories.read(place).view(np.uint8).reshape(node.outer_size, -1) for place in node.inputs]
    memories.write(node.output, np.concatenate(parts, 1).reshape(-1).view(node.output.dtype.numpy))


def memory_copy(node: v4.MemoryCopy, memories: Memories) -> None:
    memories.write(node.output, memories.read(node.input).view(node.output.dtype.numpy))


def pad(node: v4.Pad, memories: Memories) -> None:
    x = memories.read(node.input).reshape(node.shape)
    pads = np.array(node.pads).reshape(4, 2)
    value = np.frombuffer(node.value, x.dtype)[0]
    x = np.pad(x, np.maximum(pads, 0), constant_values=value)
    crop = np.minimum(pads, 0)
    x = x[tuple(slice(-before, extent + after) for (before, after), extent in zip(crop, x.shape, strict=True))]
    memories.write(node.output, x)


def transpose(node: v4.Transpose, memories: Memories) -> None:
    memories.write(node.output, memories.read(node.input).reshape(node.shape).transpose(node.perm))


def strided_slice(node: v4.StridedSlice, memories: Memories) -> None:
    x = memories.read(node.input).reshape(node.shape)
    memories.write(node.output, x[np.ix_(*map(np.array, node.indices))])


def resize_image(node: v4.ResizeImage, memories: Memories) -> None:
    x = memories.read(node.input).reshape(node.shape)
    if node.mode is ResizeMode.NEAREST:
        rows, columns = nearest(node.out_h, node.shape[2]), nearest(node.out_w, node.shape[3])
        memories.write(node.output, x[:, :, rows][:, :, :, columns])
        return
    y0, y1, fy = _between(node.out_h, node.shape[2], node.align_corners)
    x0, x1, fx = _between(node.out_w, node.shape[3], node.align_corners)
    fy = fy[:, None]
    one = np.float32(1)
    top, bottom = x[:, :, y0], x[:, :, y1]
    y = top[..., x0] * ((one - fy) * (one - fx)) + bottom[..., x0] * (fy * (one - fx))
    y = y + top[..., x1] * ((one - fy) * fx) + bottom[..., x1] * (fy * fx)
    # 8-bit results are cut off, not rounded
    memories.write(node.output, y if node.input.dtype is DataType.FLOAT32 else np.clip(y, 0, 255))


def nearest(out: int, size: int) -> Array:
    """Which pixel each of ``out`` pixels repeats."""
    places = np.arange(out, dtype=np.float32) * (np.float32(size) / np.float32(out))
    return np.minimum(places.astype(np.int64), size - 1)


def _between(out: int, size: int, align_corners: bool) -> tuple[Array, Array, Array]:
    """The two pixels between which each of ``out`` pixels lies, and how far it is from the first."""
    factor = np.float32(size) / np.float32(out)
    if align_corners and out > 1:
        factor = np.float32(size - 1) / np.float32(out - 1)
    places = np.arange(out, dtype=np.float32) * factor
    first = np.minimum(places.astype(np.int64), size - 1)
    return first, np.minimum(first + 1, size - 1), places - first.astype(np.float32)


def kpu_upload(node: v4.KpuUpload, memories: Memories) -> None:
    images = memories.read(node.input).reshape(node.shape)
    layout = MapLayout(*node.shape[1:])
    for index, image in enumerate(images):
        memories.write_map(node.output.start + index * layout.size, layout, image)
