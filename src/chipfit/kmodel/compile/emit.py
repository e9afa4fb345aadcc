"""Places for all blocks, and the steps as nodes of a file."""

from __future__ import annotations

from collections.abc import Sequence

from chipfit.errors import ChipfitError
from chipfit.kmodel.compile.lower import Lowered
from chipfit.kmodel.compile.lower.state import Block, Shape4, Step, shape4
from chipfit.kmodel.format.codec import Memory, MemoryRange
from chipfit.kmodel.format.layout import KPU_BYTES, LINE
from chipfit.kmodel.format.v4 import KmodelV4
from chipfit.plan.memory import Buffer, align, place

MAIN_ALIGNMENT = 8


class Places:
    """Where each block begins. ``kpu_bytes``, ``main_bytes``: what is used of both memories."""

    def __init__(self, lowered: Lowered) -> None:
        steps = lowered.state.steps
        lives = _lives(steps, lowered.inputs, lowered.outputs)
        self.offsets: dict[Block, int] = {}
        self.kpu_bytes = self._place(lives, Memory.KPU, LINE)
        self.main_bytes = self._place(lives, Memory.MAIN, MAIN_ALIGNMENT)
        at = 0
        for block in lowered.state.constants:
            self.offsets[block] = at
            at += align(block.size, MAIN_ALIGNMENT)
        if self.kpu_bytes > KPU_BYTES:
            raise _too_large(lives, self.kpu_bytes, steps)

    def _place(self, lives: dict[Block, tuple[int, int]], memory: Memory, alignment: int) -> int:
        blocks = [b for b in lives if b.memory is memory]
        if not blocks:
            return 0
        buffers = [Buffer(b.name, b.size, *lives[b]) for b in blocks]
        placement = place(buffers, alignment=alignment, effort=200_000)
        self.offsets.update(zip(blocks, placement.offsets, strict=True))
        return placement.peak

    def __call__(self, block: Block) -> MemoryRange:
        return MemoryRange(block.memory, block.dtype, self.offsets[block.root] + block.shift, block.size)


def _lives(steps: Sequence[Step], inputs: Sequence[Block], outputs: Sequence[Block]) -> dict[Block, tuple[int, int]]:
    """The first and the last step at which each block that is no part of another holds something."""
    lives: dict[Block, tuple[int, int]] = {}

    def touch(block: Block, at: int) -> None:
        root = block.root
        if root.memory is not Memory.CONST:
            first, last = lives.get(root, (at, at))
            lives[root] = (min(first, at), max(last, at))

    for block in inputs:
        touch(block, 0)
    for index, step in enumerate(steps):
        for block in (*step.reads, *step.writes):
            touch(block, index)
    for block in outputs:
        touch(block, len(steps))
    return lives


def _too_large(lives: dict[Block, tuple[int, int]], needed: int, steps: Sequence[Step]) -> ChipfitError:
    def size_at(index: int) -> int:
        return sum(b.size for b, (first, last) in lives.items() if b.memory is Memory.KPU and first <= index <= last)

    worst = max(range(len(steps)), key=size_at)
    names = ", ".join(
        f"'{b.name}' {b.size:,}"
        for b, (first, last) in lives.items()
        if b.memory is Memory.KPU and first <= worst <= last
    )
    return ChipfitError(
        "M001",
        f"the KPU's memory of {KPU_BYTES:,} bytes does not hold the maps, which take {needed:,}: "
        f"at '{steps[worst].layer}' there are {names}",
        "use a smaller image or fewer channels in the first layers, or stride earlier",
    )


def emit(lowered: Lowered, places: Places) -> KmodelV4:
    """The file of version 4."""
    constants = bytearray()
    for block in lowered.state.constants:
        constants += block.data.ljust(align(block.size, MAIN_ALIGNMENT), b"\0")
    graph = lowered.state.graph
    return KmodelV4(
        tuple(places(b) for b in lowered.inputs),
        tuple(_input_shape(shape4(v)) for v in graph.inputs),
        tuple(places(b) for b in lowered.outputs),
        bytes(constants),
        places.main_bytes,
        tuple(step.make(places) for step in lowered.state.steps),
    )


def _input_shape(shape: Shape4) -> Shape4:
    return shape
