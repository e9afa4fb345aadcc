"""A memory plan as plain data: names and numbers, nothing of graphs. What is reported, drawn and stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chipfit.graph import Array, Value
from chipfit.plan.arena import Block, MemoryPlan
from chipfit.plan.units import Unit
from chipfit.plan.views import View

SLICES = 48
"""Moments into which the step of a single layer is divided where its output lies over its input."""


@dataclass(frozen=True)
class LiveInfo:
    """Which bytes of a block are needed while a step runs. ``changes``: moment, first byte and one past the last."""

    block: int
    changes: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class StepInfo:
    """One step. ``layer``: its name, or that of the last one of a run; ``bound``: bytes needed at least.

    ``moments``: into how many moments ``live`` divides it; blocks that are not in ``live`` are needed all the time.
    """

    op: str
    layer: str
    layers: int
    bound: int
    backward: bool
    moments: int
    live: tuple[LiveInfo, ...] = ()


@dataclass(frozen=True)
class BlockInfo:
    """A stretch of the arena. ``name``: of the tensor, or of the layer whose scratch or sums they are. ``first`` is -1
    for what is there before the first step; ``last`` is the number of steps for what is still there after the last.
    ``rows``: how many of the tensor's ``height`` rows there are at once; both None: it is whole. ``views``: tensors
    that share its memory for good.
    """

    name: str
    kind: str
    offset: int
    bytes: int
    first: int
    last: int
    rows: int | None = None
    height: int | None = None
    views: tuple[str, ...] = ()

    def lives_at(self, step: int) -> bool:
        return self.first <= step <= self.last


@dataclass(frozen=True)
class OverlayInfo:
    """Two blocks that have ``bytes`` of memory in common during a step; ``distance``: offset of ``over`` - ``under``.

    ``how``: ``forward`` and ``backward``: the output is written over what has been read; ``rows``: in turn.
    """

    step: int
    under: int
    over: int
    distance: int
    bytes: int
    how: str


@dataclass(frozen=True)
class RegionInfo:
    """The part of the arena that lies in one memory of the board; None: there is one, wherever it is."""

    memory: str | None
    offset: int
    bytes: int


@dataclass(frozen=True)
class VariableInfo:
    """A variable that survives a run; ``offset`` counts from the beginning of the state."""

    name: str
    offset: int


@dataclass(frozen=True)
class PlanInfo:
    """A memory plan; all figures are bytes, blocks are sorted by their first step. See :class:`MemoryPlan`."""

    arena: int
    lower_bound: int
    plain_bound: int
    scratch: int
    state: int
    busiest: int
    input_preserved: bool
    steps: tuple[StepInfo, ...]
    blocks: tuple[BlockInfo, ...]
    overlays: tuple[OverlayInfo, ...]
    regions: tuple[RegionInfo, ...]
    variables: tuple[VariableInfo, ...]

    @staticmethod
    def from_plain(data: Mapping[str, Any]) -> PlanInfo:
        """From dictionaries and lists, as JSON has them. Raises KeyError or TypeError where they are not of a plan."""
        return PlanInfo(
            **_with(
                data,
                steps=tuple(StepInfo(**_with(d, live=_live(d["live"]))) for d in data["steps"]),
                blocks=tuple(BlockInfo(**_with(d, views=tuple(d["views"]))) for d in data["blocks"]),
                overlays=tuple(OverlayInfo(**d) for d in data["overlays"]),
                regions=tuple(RegionInfo(**d) for d in data["regions"]),
                variables=tuple(VariableInfo(**d) for d in data["variables"]),
            )
        )


def _with(data: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
    return {**data, **changed}


def _live(items: Sequence[Mapping[str, Any]]) -> tuple[LiveInfo, ...]:
    return tuple(LiveInfo(d["block"], tuple((at, low, high) for at, low, high in d["changes"])) for d in items)


def describe(plan: MemoryPlan) -> PlanInfo:
    """All that a reader may want to know of a plan."""
    blocks = sorted(plan.blocks, key=lambda b: (b.buffer.first, b.offset))
    overlays = [o for step in range(len(plan.units)) for o in _overlays(plan, blocks, step)]
    shared = {o.step for o in overlays}
    return PlanInfo(
        arena=plan.arena_bytes,
        lower_bound=plan.lower_bound,
        plain_bound=plan.plain_bound,
        scratch=plan.scratch_bytes,
        state=plan.state_bytes,
        busiest=plan.busiest,
        input_preserved=plan.input_preserved,
        steps=tuple(_step(plan, blocks, step, step in shared) for step in range(len(plan.units))),
        blocks=tuple(_block(plan, b) for b in blocks),
        overlays=tuple(overlays),
        regions=tuple(RegionInfo(r.memory, r.begin, r.bytes) for r in plan.regions),
        variables=tuple(VariableInfo(name, at) for name, at in plan.state_offsets.items()),
    )


def _block(plan: MemoryPlan, block: Block) -> BlockInfo:
    b = block.buffer
    windows = {w.value: w.rows for u in plan.units if u.rows for w in u.rows.windows} if block.kind == "rows" else {}
    return BlockInfo(
        name=b.name.removeprefix(f"{block.kind} of "),
        kind=block.kind,
        offset=block.offset,
        bytes=b.size,
        first=b.first,
        last=b.last,
        rows=windows[block.values[0]] if windows else None,
        height=block.values[0].shape[1] if windows else None,
        views=tuple(v.name for v in block.values[1:]),
    )


def _overlays(plan: MemoryPlan, blocks: Sequence[Block], step: int) -> list[OverlayInfo]:
    here = [(i, b) for i, b in enumerate(blocks) if b.buffer.lives_at(step) and b.buffer.size]
    how = "rows" if plan.units[step].rows else "backward" if step in plan.backward else "forward"
    found: list[OverlayInfo] = []
    for k, (i, a) in enumerate(here):
        for j, b in here[k + 1 :]:
            ends = a.offset + a.buffer.size, b.offset + b.buffer.size
            common = min(ends) - max(a.offset, b.offset)
            if common > 0:
                found.append(OverlayInfo(step, i, j, b.offset - a.offset, common, how))
    return found


# ---------------------------------------------------------------------------------------------- within a step


def _step(plan: MemoryPlan, blocks: Sequence[Block], step: int, shares: bool) -> StepInfo:
    unit = plan.units[step]
    node = unit.nodes[-1]
    ranges: dict[int, tuple[Array, Array]] = {}
    if unit.rows or shares:
        ends = _ends(unit, blocks, step, plan.views)
        ranges = _in_rows(unit, blocks, step, ends) if unit.rows else _in_layer(unit, ends, step in plan.backward)
    return StepInfo(
        op=node.op.name,
        layer=node.name,
        layers=len(unit.nodes),
        bound=plan.bounds[step],
        backward=step in plan.backward,
        moments=max((len(low) for low, _ in ranges.values()), default=1),
        live=tuple(LiveInfo(i, _changes(low, high)) for i, (low, high) in sorted(ranges.items())),
    )


def _ends(unit: Unit, blocks: Sequence[Block], step: int, views: Mapping[Value, View]) -> dict[Value, int]:
    """Inputs that die at this step and outputs that begin to exist at it, with the numbers of their blocks."""
    found: dict[Value, int] = {}
    for i, block in enumerate(blocks):
        read = [v for v in unit.reads if v in block.values]
        written = [v for v in unit.writes if v in block.values]
        for values, is_end in ((read, block.buffer.last == step), (written, block.buffer.first == step)):
            if is_end and len(values) == 1 and values[0].type.nbytes == block.buffer.size and not (read and written):
                found[values[0]] = i
    return found


def _in_rows(
    unit: Unit, blocks: Sequence[Block], step: int, ends: Mapping[Value, int]
) -> dict[int, tuple[Array, Array]]:
    """Live bytes at each move of a run."""
    assert unit.rows is not None
    live = unit.rows.live
    ranges = {i: live[value] for value, i in ends.items() if value in live}
    scratch = {f"scratch of {node.name}": node for node in unit.nodes}
    for i, block in enumerate(blocks):
        if block.buffer.first != step:
            continue
        if block.kind == "rows":
            ranges[i] = live[block.values[0]]
        elif block.kind == "scratch":
            used = live[scratch[block.buffer.name]][1]
            ranges[i] = np.zeros_like(used), used * block.buffer.size
    return ranges


def _in_layer(unit: Unit, ends: Mapping[Value, int], backward: bool) -> dict[int, tuple[Array, Array]]:
    """Live bytes while one layer goes through its tensors, in a few slices of its steps."""
    traversal = unit.backward if backward else unit.forward
    if traversal is None:
        return {}
    node = unit.nodes[0]
    ports = {value: port for port, value in zip(node.op.inputs, node.inputs, strict=False) if value is not None}
    ranges: dict[int, tuple[Array, Array]] = {}
    for value, i in ends.items():
        if ports.get(value) in traversal.reads:
            low, high = traversal.reads[ports[value]]
            ranges[i] = slices(*(x[::-1] for x in _hull(low[::-1], high[::-1])))
        elif value in unit.writes:
            ranges[i] = slices(*_hull(*traversal.writes))
    return ranges


def _hull(low: Array, high: Array) -> tuple[Array, Array]:
    """The hull of each range and all before it."""
    nothing, big = low >= high, np.iinfo(np.int64).max
    low, high = np.where(nothing, big, low), np.where(nothing, 0, high)
    high = np.maximum.accumulate(high)
    return np.minimum(np.minimum.accumulate(low), high), high


def slices(low: Array, high: Array) -> tuple[Array, Array]:
    """At most ``SLICES`` hulls of neighbouring ranges."""
    count = min(SLICES, len(low))
    starts = np.arange(count) * len(low) // count
    return np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)


def _changes(low: Array, high: Array) -> tuple[tuple[int, int, int], ...]:
    at = np.flatnonzero(np.append(True, (np.diff(low) != 0) | (np.diff(high) != 0)))
    return tuple(zip(at.tolist(), low[at].tolist(), high[at].tolist(), strict=True))
