"""What the CPU moves: shapes, orders, parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Node, Value
from chipfit.kmodel.compile.lower.grids import is_part
from chipfit.kmodel.compile.lower.results import result
from chipfit.kmodel.compile.lower.state import Block, Shape4, State, shape4
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.codec import DataType
from chipfit.kmodel.format.nodes import ResizeMode
from chipfit.ops.expand_dims import ExpandDims
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.reshape import Reshape
from chipfit.ops.resize_bilinear import ResizeBilinear
from chipfit.ops.resize_nearest import ResizeNearest
from chipfit.ops.slice import Slice
from chipfit.ops.squeeze import Squeeze


def _source(state: State, x: Value) -> tuple[Block, DataType]:
    """A tensor in the form in which it is there already, bytes first: they are a quarter as many."""
    forms = state.forms_of(x)
    if forms.bytes_ is None and forms.kpu is None and forms.floats is not None:
        return forms.floats, DataType.FLOAT32
    if x.is_const or not state.grid(x).is_plain:
        return state.floats(x), DataType.FLOAT32
    return state.bytes_(x), DataType.UINT8


def _keep(state: State, value: Value, block: Block) -> None:
    """The tensor is another one's bytes."""
    forms = state.forms_of(value)
    if block.dtype is DataType.FLOAT32:
        forms.floats = block
    else:
        forms.bytes_ = block


def _permuted(state: State, block: Block, shape: Shape4, perm: Shape4, name: str) -> Block:
    out = state.main(name, int(np.prod(shape)), block.dtype)
    state.add([block], out, lambda at: v4.Transpose(at(block), at(out), shape, perm))
    return out


def _is_image(value: Value) -> bool:
    """Whether channels first is another order of the bytes than the graph's."""
    return len(value.shape) == 4 and value.shape[3] > 1 and value.shape[1] * value.shape[2] > 1


def reshape(state: State, node: Node) -> list[Node]:
    x, y = node.operands[0], node.outputs[0]
    readers = state.consumers.get(y, [])
    origin = state.flat.get(x, x)
    if _is_image(origin) and y not in state.graph.outputs and readers and all(_reads_flat(n, y) for n in readers):
        state.flat[y] = origin
        return []
    if origin is not x:
        x = origin
    block, _ = _source(state, x)
    if _is_image(x) and not (_is_image(y) and y.shape == x.shape):
        block = _permuted(state, block, shape4(x), (0, 2, 3, 1), f"{y.name}/last")
    if _is_image(y):
        n, h, w, c = y.shape
        block = _permuted(state, block, (n, h, w, c), (0, 3, 1, 2), y.name)
    _keep(state, y, block)
    return []


def _reads_flat(node: Node, value: Value) -> bool:
    """Whether a layer can read an image in any order: it permutes its weights."""
    if isinstance(node.op, Reshape | Squeeze | ExpandDims):
        return False
    return isinstance(node.op, FullyConnected) and node["x"] is value and node["w"].shape[1] == value.type.size


def transpose(state: State, node: Node) -> list[Node]:
    x, y = node.operands[0], node.outputs[0]
    perm = tuple(node.op.attributes()["perm"])
    rank = len(perm)
    block, _ = _source(state, x)
    # both tensors are stored with channels first where they have four axes
    stored = (0, 3, 1, 2) if rank == 4 else tuple(range(rank))
    places = {axis: i for i, axis in enumerate(stored)}
    moved = tuple(places[perm[axis]] for axis in stored)
    lead = 4 - rank
    full = (*range(lead), *(p + lead for p in moved))
    _keep(state, y, _permuted(state, block, shape4(x), full, y.name))  # pyright: ignore[reportArgumentType]
    return []


def concatenate(state: State, node: Node) -> list[Node]:
    y = node.outputs[0]
    rank = len(y.shape)
    axis = node.op.attributes()["axis"] % rank
    stored = (0, 3, 1, 2).index(axis) if rank == 4 else axis
    shape = shape4(y)[4 - rank :] if rank < 4 else shape4(y)
    same = all(state.grid(v).same(state.grid(y)) for v in node.operands) and state.grid(y).is_plain
    dtype = DataType.UINT8 if same else DataType.FLOAT32
    blocks = [state.bytes_(v) if same else state.floats(v) for v in node.operands]
    out = result(state, y, dtype)
    inner = int(np.prod(shape[stored + 1 :])) * dtype.numpy.itemsize
    outer = int(np.prod(shape[:stored]))
    dims = np.array([v.shape[axis] for v in node.operands], np.int32)
    state.add(blocks, out, lambda at: v4.Concat(at(out), inner, outer, len(blocks), tuple(at(b) for b in blocks), dims))
    return []


def pad(state: State, node: Node) -> list[Node]:
    x, y = node.operands[0], node.outputs[0]
    if node.op.attributes()["value"] not in (None, 0, 0.0):
        raise ChipfitError("O002", f"pad '{node.name}' adds other numbers than 0", "pad with 0")
    pads = [tuple(p) for p in node.op.attributes()["pads"]]
    pads = [pads[0], pads[3], pads[1], pads[2]] if len(pads) == 4 else [(0, 0)] * (4 - len(pads)) + pads
    flat = tuple(n for pair in pads for n in pair)
    block, dtype = _source(state, x)
    zero = bytes([state.grid(x).pad, 0, 0, 0]) if dtype is DataType.UINT8 else bytes(4)
    out = result(state, y, dtype)
    state.add([block], out, lambda at: v4.Pad(at(block), at(out), shape4(x), flat, dtype, zero))  # pyright: ignore[reportArgumentType]
    return []


def resize(state: State, node: Node) -> list[Node]:
    x, y = node.operands[0], node.outputs[0]
    a = node.op.attributes()
    if a["half_pixel_centers"] and isinstance(node.op, ResizeBilinear):
        raise ChipfitError(
            "O002",
            f"resize_bilinear '{node.name}' has half_pixel_centers, which no opcode of a kmodel has",
            "use nearest neighbours, or align_corners",
        )
    mode = ResizeMode.NEAREST if isinstance(node.op, ResizeNearest) else ResizeMode.BILINEAR
    block, dtype = _source(state, x)
    out = result(state, y, dtype)
    state.add(
        [block],
        out,
        lambda at: v4.ResizeImage(at(block), at(out), shape4(x), y.shape[1], y.shape[2], mode, a["align_corners"]),
    )
    return []


def cut(state: State, node: Node) -> list[Node]:
    x, y = node.operands[0], node.outputs[0]
    if node.op.attributes().get("shrink_axes") and len(x.shape) == 4:
        raise ChipfitError("O002", f"strided_slice '{node.name}' drops an axis of an image", "keep its dimensions")
    _cut(state, x, y, *_bounds(node))
    return []


def _bounds(node: Node) -> tuple[list[int], list[int], list[int]]:
    """Begin, end and step of a slice along each axis."""
    a = node.op.attributes()
    begin = list(a["begin"])
    if isinstance(node.op, Slice):
        return begin, [b + s for b, s in zip(begin, a["size"], strict=True)], [1] * len(begin)
    return begin, list(a["end"]), list(a["strides"])


def cut_in_kpu(state: State, node: Node) -> bool:
    """Let the layers that read a part of a map work on the whole of it, as far as they can. False: they cannot.

    Nothing is moved: those pixels are all that counts from here on.
    """
    x, y = node.operands[0], node.outputs[0]
    made = state.forms_of(x).kpu
    if made is None or made.step is None or not is_part(state.graph, node, state.consumers):
        return False
    (_, top, left, _), _, (_, step, _, _) = _bounds(node)
    state.forms_of(y).kpu = replace(made, view=made.view.part(top, left, step, *y.shape[1:3]))
    return True


def _cut(state: State, x: Value, y: Value, begin: list[int], end: list[int], steps: list[int]) -> None:
    if min(steps) < 1:
        raise ChipfitError("O002", f"'{y.name}' goes backwards through '{x.name}', which no opcode of a kmodel does")
    block, dtype = _source(state, x)
    out = result(state, y, dtype)

    def order(values: list[int], fill: int) -> Shape4:
        full = [values[0], values[3], values[1], values[2]] if len(values) == 4 else values
        a, b, c, d = [fill] * (4 - len(full)) + full
        return a, b, c, d

    state.add(
        [block],
        out,
        lambda at: v4.StridedSlice(
            at(block), at(out), shape4(x), order(begin, 0), order(end, 1), order(steps, 1), 0, 0, 0, 0, 0
        ),
    )


def split(state: State, node: Node) -> list[Node]:
    x = node.operands[0]
    axis = node.op.attributes()["axis"] % len(x.shape)
    at = 0
    for y in node.outputs:
        begin, end = [0] * len(x.shape), list(x.shape)
        begin[axis], end[axis] = at, at + y.shape[axis]
        _cut(state, x, y, begin, end, [1] * len(begin))
        at += y.shape[axis]
    return []
