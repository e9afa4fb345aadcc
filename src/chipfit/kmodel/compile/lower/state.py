"""The kmodel in the making: pieces of memory, steps, and the forms in which each tensor is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Node, Shape, Value
from chipfit.kmodel.compile.constraints import Place, why_cut
from chipfit.kmodel.compile.grid import Grid
from chipfit.kmodel.compile.quantize import Rounded
from chipfit.kmodel.compile.statistics import Statistics
from chipfit.kmodel.compile.view import View
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.codec import DataType, Memory, MemoryRange
from chipfit.kmodel.format.nodes import BinaryOp

Shape4 = tuple[int, int, int, int]


class InputInKpuError(Exception):
    """Main memory wants an input that was to be given to the KPU alone."""


@dataclass(eq=False)
class Block:
    """Bytes of a memory, which get their place when all steps are known. ``parent``: it is a part of that block."""

    memory: Memory
    dtype: DataType
    size: int
    name: str
    parent: Block | None = None
    offset: int = 0
    data: bytes = b""

    @property
    def root(self) -> Block:
        return self if self.parent is None else self.parent.root

    @property
    def shift(self) -> int:
        """Where it begins in its root."""
        return self.offset if self.parent is None else self.offset + self.parent.shift


Where = Callable[[Block], MemoryRange]


@dataclass(eq=False)
class Step:
    """A node of the kmodel. ``make``: the node, when all blocks have their place; ``layer``: the tensor for which it
    is there; ``place``: the rule that calls for it, where it only moves pixels. ``result``: for figures: the tensor
    that it computes, the block and grid that hold it."""

    layer: str
    reads: list[Block]
    writes: list[Block]
    make: Callable[[Where], v4.Node]
    place: Place | None = None
    is_kpu: bool = False
    name: str = ""
    view: View | None = None


@dataclass(eq=False)
class KpuMap:
    """A tensor in the KPU's memory. ``step``: the layer that makes it, which can send it to main memory, too."""

    block: Block
    view: View
    grid: Grid
    step: Step | None = None
    parts: tuple[Value, ...] = ()
    """The tensors that lie side by side in it, each made by a step of its own."""


@dataclass(eq=False)
class Forms:
    """In which forms a tensor is there. ``bytes_`` and ``floats`` lie in main memory: four axes with channels first
    (n, c, h, w), anything else as the graph has it."""

    kpu: KpuMap | None = None
    bytes_: Block | None = None
    floats: Block | None = None


@dataclass(eq=False)
class State:
    """What lowering works on. ``unit``: the tensor that is being made, for which steps are counted."""

    graph: Graph
    statistics: Statistics
    grids: Mapping[Value, Grid]
    rounded: Mapping[Value, Rounded] = field(default_factory=dict[Value, Rounded])
    """Weights of layers, by the sum that these compute; of others they are rounded to the nearest."""
    steps: list[Step] = field(default_factory=list[Step])
    forms: dict[Value, Forms] = field(default_factory=dict[Value, Forms])
    constants: list[Block] = field(default_factory=list[Block])
    consumers: dict[Value, list[Node]] = field(default_factory=dict[Value, list[Node]])
    reasons: dict[str, list[Place]] = field(default_factory=dict[str, list[Place]])
    flat: dict[Value, Value] = field(default_factory=dict[Value, Value])
    """Tensors that were never made flat: their readers take the image."""
    unit: str = ""

    def forms_of(self, value: Value) -> Forms:
        if value not in self.forms:
            self.forms[value] = Forms()
        return self.forms[value]

    def grid(self, value: Value) -> Grid:
        return self.grids[value]

    # ------------------------------------------------------------------------------------------------ memory

    def main(self, name: str, count: int, dtype: DataType) -> Block:
        return Block(Memory.MAIN, dtype, count * dtype.numpy.itemsize, name)

    def kpu(self, name: str, view: View) -> Block:
        return Block(Memory.KPU, DataType.UINT8, view.layout.size, name)

    def constant(self, data: Array, name: str) -> Block:
        """An array in the section of constants."""
        dtype = DataType.UINT8 if data.dtype == np.uint8 else DataType.FLOAT32
        raw = np.ascontiguousarray(data, dtype.numpy).tobytes()
        block = Block(Memory.CONST, dtype, len(raw), name, data=raw)
        self.constants.append(block)
        return block

    # ------------------------------------------------------------------------------------------------- steps

    def add(
        self,
        reads: list[Block],
        write: Block,
        make: Callable[[Where], v4.Node],
        place: Place | None = None,
        *,
        is_kpu: bool = False,
    ) -> Step:
        step = Step(self.unit, reads, [write], make, place, is_kpu, write.name)
        self.steps.append(step)
        if place is not None:
            self.reasons.setdefault(self.unit, []).append(place)
        return step

    def floats(self, value: Value) -> Block:
        """The tensor as float32 in main memory."""
        forms = self.forms_of(value)
        if value.is_const:
            forms.floats = forms.floats or self.constant(channels_first(value.array), value.name)
        if forms.floats is None:
            codes, grid = self.bytes_(value), self.grid(value)
            if grid.is_plain:
                forms.floats = self._dequantized(value, codes, *grid.plain)
            else:
                forms.floats = self._dequantized(value, codes, 1.0, 0)
                forms.floats = self._by_channel(value, forms.floats, BinaryOp.SUB, grid.zero)
                forms.floats = self._by_channel(value, forms.floats, BinaryOp.MUL, grid.step)
        return forms.floats

    def _dequantized(self, value: Value, codes: Block, step: float, zero: int) -> Block:
        out = self.main(value.name, value.type.size, DataType.FLOAT32)
        self.add([codes], out, lambda at: v4.Dequantize(at(codes), at(out), zero, 1.0 / step))
        return out

    def _by_channel(self, value: Value, floats: Block, op: BinaryOp, numbers: Array) -> Block:
        """Floats and a number for each channel: what an image is made of whose channels have ranges of their own."""
        channels = value.shape[3]
        constant = self.constant(np.broadcast_to(numbers, channels), f"{value.name}/{op.name.lower()}")
        out = self.main(value.name, value.type.size, DataType.FLOAT32)
        shape, each = four(value.shape), (1, channels, 1, 1)
        self.add(
            [floats, constant],
            out,
            lambda at: v4.Binary(at(floats), at(constant), at(out), op, shape, each, shape, v4.NO_MIN, v4.NO_MAX),
        )
        return out

    def bytes_(self, value: Value) -> Block:
        """The tensor as bytes of its grid in main memory."""
        forms = self.forms_of(value)
        if forms.bytes_ is None and value.is_const:
            codes = self.grid(value).codes(value.array)
            forms.bytes_ = self.constant(channels_first(codes), value.name)
        if forms.bytes_ is None and forms.kpu is not None:
            forms.bytes_ = self.joined(value, forms.kpu) if forms.kpu.parts else self.cut_out(forms.kpu, value.name)
        if forms.bytes_ is None:
            floats = forms.floats
            if floats is None:
                raise ChipfitError("G001", f"'{value.name}' is needed before it is made")
            step, zero = self.grid(value).plain
            out = self.main(value.name, value.type.size, DataType.UINT8)
            self.add([floats], out, lambda at: v4.Quantize(at(floats), at(out), zero, 1.0 / step))
            forms.bytes_ = out
        return forms.bytes_

    def sent(self, made: KpuMap, name: str) -> Block:
        """The whole map in main memory: the layer that makes it sends it there."""
        step = made.step
        if step is None:
            raise InputInKpuError(name)
        if len(step.writes) == 1:
            view = made.view
            step.writes.append(self.main(name, view.channels * view.height * view.width, DataType.UINT8))
        return step.writes[1]

    def joined(self, value: Value, made: KpuMap) -> Block:
        """Maps that lie side by side in the KPU, one after the other in main memory."""
        blocks = [self.bytes_(part) for part in made.parts]
        out = self.main(value.name, value.type.size, DataType.UINT8)
        sizes = np.array([block.size for block in blocks], np.int32)
        self.add(blocks, out, lambda at: v4.Concat(at(out), 1, 1, len(blocks), tuple(at(b) for b in blocks), sizes))
        return out

    def cut_out(self, made: KpuMap, name: str) -> Block:
        """The pixels of a tensor, and nothing else, in main memory. What that takes counts for the layer itself."""
        whole, view = self.sent(made, name), made.view
        if view.is_whole or made.step is None:
            return whole
        reader, self.unit = self.unit, made.step.layer
        block = self._cut(whole, view, name, why_cut(view))
        self.unit = reader
        return block

    def _cut(self, whole: Block, view: View, name: str, place: Place) -> Block:
        shape: Shape4 = (1, view.channels, view.height, view.width)
        out = self.main(name, view.channels * view.rows * view.columns, DataType.UINT8)
        if view.step == 1:
            pads = crop(view)
            self.add([whole], out, lambda at: v4.Pad(at(whole), at(out), shape, pads, DataType.UINT8, bytes(4)), place)
            return out
        ends = (view.top + (view.rows - 1) * view.step + 1, view.left + (view.columns - 1) * view.step + 1)
        self.add(
            [whole],
            out,
            lambda at: v4.StridedSlice(
                at(whole),
                at(out),
                shape,
                (0, 0, view.top, view.left),
                (1, view.channels, *ends),
                (1, 1, view.step, view.step),
                *(0, 0, 0, 0, 0),
            ),
            place,
        )
        return out

    def upload(self, block: Block, view: View, grid: Grid, name: str, place: Place | None = None) -> KpuMap:
        """A map in main memory to the KPU."""
        out = self.kpu(name, view)
        shape: Shape4 = (1, view.channels, view.height, view.width)
        self.add([block], out, lambda at: v4.KpuUpload(at(block), at(out), shape), place)
        return KpuMap(out, view, grid)


def crop(view: View) -> tuple[int, int, int, int, int, int, int, int]:
    """The pads, all negative, that leave a tensor of its map."""
    bottom, right = view.height - view.top - view.rows, view.width - view.left - view.columns
    return 0, 0, 0, 0, -view.top, -bottom, -view.left, -right


def shape4(value: Value) -> Shape4:
    """(n, c, h, w) of a tensor with four axes, else its shape with ones before it."""
    return four(value.shape)


def four(shape: Shape) -> Shape4:
    if len(shape) > 4:
        raise ChipfitError("O002", f"a tensor of {list(shape)} has more than the four axes of a kmodel")
    if len(shape) == 4:
        n, h, w, c = shape
        return n, c, h, w
    a, b, c, d = (*(1,) * (4 - len(shape)), *shape)
    return a, b, c, d


def channels_first(array: Array) -> Array:
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if array.ndim == 4 else array
