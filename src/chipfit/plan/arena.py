"""The memory plan of a graph: an offset for every tensor, window of rows and scratch in one arena, and the state."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chipfit.graph import Graph, Node, Value
from chipfit.plan.memory import Buffer, Overlays, Placement, align, place
from chipfit.plan.overlay import allows, forbidden_by
from chipfit.plan.replay import check_order, replay
from chipfit.plan.split import Region, Rooms, Split, heats, split
from chipfit.plan.units import Lives, Part, Unit, least_bytes, overlaps, parts_of
from chipfit.plan.views import View, storage_bytes

EFFORT, LITTLE_EFFORT = 500_000, 50_000
"""Of the search for a placement; and of the one that only says what the scratch costs."""

NAMED = 4
"""Buffers that are named where the peak is explained."""


@dataclass(frozen=True)
class Block:
    """A stretch of the arena: a tensor together with its views, rows of one inside a run, or working memory of a step.

    ``buffer.first`` is -1 for what is there before the first step, ``buffer.last`` the number of steps for what is
    still there after the last. ``kind``: ``input``, ``output``, ``input, output``, ``tensor``, ``rows``, ``sums`` or
    ``scratch``. ``region``: the part of the arena that it lies in.
    """

    buffer: Buffer
    offset: int
    kind: str
    values: tuple[Value, ...] = ()
    region: int = 0


@dataclass(frozen=True, eq=False)
class MemoryPlan:
    """Where everything lies that changes while the model runs. All figures are bytes.

    ``offsets``: every value in the arena; a window of rows where a value exists as such only; a view has its root's
    offset and its own. Values in a variable's storage are not in it. ``scratch_offsets``, ``sums_offsets``:
    by node. ``arena_bytes`` holds all of it; ``regions`` says which offsets lie in which memory, one behind the other.
    ``scratch_bytes`` says by how much the arena would be smaller without any scratch. ``lower_bound``: no placement of
    these steps is below; ``plain_bound``: most bytes alive at one step if nothing shared memory (no overlay, no rows).
    ``bounds``: bytes needed at least at each step, ``busiest`` the step with most. ``backward``: steps that go through
    their tensors from the end. ``input_preserved``: the inputs still hold their bytes after a run. Variables lie
    apart, behind the region ``state_region``: they survive the run.
    """

    alignment: int
    units: tuple[Unit, ...]
    blocks: tuple[Block, ...]
    views: Mapping[Value, View]
    offsets: Mapping[Value, int]
    scratch_offsets: Mapping[Node, int]
    sums_offsets: Mapping[Node, int]
    backward: frozenset[int]
    arena_bytes: int
    scratch_bytes: int
    lower_bound: int
    plain_bound: int
    bounds: tuple[int, ...]
    how: str
    state_offsets: Mapping[str, int]
    state_bytes: int
    input_preserved: bool
    regions: tuple[Region, ...]
    state_region: int

    @property
    def steps(self) -> tuple[str, ...]:
        """What runs at each step, in words."""
        return tuple(unit.name for unit in self.units)

    @property
    def busiest(self) -> int:
        return max(range(len(self.bounds)), key=lambda i: self.bounds[i], default=0)

    def live(self, step: int) -> list[Block]:
        """What is needed at a step, the largest first."""
        blocks = [b for b in self.blocks if b.buffer.lives_at(step)]
        return sorted(blocks, key=lambda b: (-b.buffer.size, b.offset))

    @property
    def why(self) -> str:
        """What makes the peak: the busiest step and what is alive at it."""
        if not self.blocks:
            return "0 B: nothing lies in the arena"
        live = [b for b in self.live(self.busiest) if b.buffer.size]
        parts = [f"{b.buffer.size:,} '{b.buffer.name}'" for b in live[:NAMED]]
        if live[NAMED:]:
            parts.append(f"{sum(b.buffer.size for b in live[NAMED:]):,} in {len(live) - NAMED} more")
        shared = sum(b.buffer.size for b in live) - self.lower_bound
        saved = f", {shared:,} B of it shared" if shared > 0 else ""
        return f"{self.lower_bound:,} B {self.peak_step}: {' + '.join(parts)}{saved}"

    @property
    def peak_step(self) -> str:
        """The busiest step in words."""
        return self.when(self.busiest) if self.blocks else ""

    def when(self, step: int) -> str:
        """A step in words."""
        if step < 0:
            return "before the first step"
        return f"at step {step}, {self.units[step].name}" if step < len(self.units) else "after the last step"

    def check(self, graph: Graph) -> None:
        """Prove the plan by replaying the run on the arena. Raises ChipfitError M002 if any live byte is lost."""
        replay(self, graph)


def plan_memory(
    graph: Graph,
    units: Sequence[Unit],
    views: Mapping[Value, View],
    *,
    alignment: int = 4,
    preserve_input: bool = False,
    rooms: Rooms | None = None,
) -> MemoryPlan:
    """Plan the arena for running these steps in this order, and prove the plan.

    ``units`` hold every node that runs; those whose work is done by ``views`` (:func:`chipfit.plan.views.find_views`)
    are left out. Inputs are there before the first step and may be overwritten after their last use, unless
    ``preserve_input``; outputs stay until after the last step. What nobody reads still needs its place at the step
    that writes it. An output lies over a dying input where the step's traversal allows it. ``rooms``: the memories over
    which the arena is split; None: it is one block, however large.
    """
    check_order(views, graph, units)
    lives = Lives(graph, units, views, preserve_input=preserve_input)
    layout = _Layout.of(graph, lives)
    bounds = tuple(step_bound(lives, step, alignment) for step in range(len(units)))
    state_offsets, state_bytes = _state(graph, views, alignment)
    if rooms is None:
        where = _together(layout, alignment, max(bounds, default=0))
    else:
        where = _apart(layout, lives, rooms, state_bytes, alignment)
    blocks = [
        dataclasses.replace(b, offset=x, region=r)
        for b, x, r in zip(layout.blocks, where.offsets, where.region_of, strict=True)
    ]
    at = dict(zip(layout.parts, where.offsets, strict=True))
    arena_bytes = sum(region.bytes for region in where.regions)
    bare = arena_bytes
    if layout.has_scratch and rooms is None:
        bare = min(bare, layout.without_scratch().place(alignment, 0, LITTLE_EFFORT).peak)
    offsets = {value: at[root] + _shift(views, value) for root, members in lives.members.items() for value in members}
    offsets |= {part: x for part, x in at.items() if isinstance(part, Value) and part not in offsets}
    plan = MemoryPlan(
        alignment=alignment,
        units=tuple(units),
        blocks=tuple(blocks),
        views=dict(views),
        offsets=offsets,
        scratch_offsets={part[1]: x for part, x in at.items() if isinstance(part, tuple) and part[0] == "scratch"},
        sums_offsets={part[1]: x for part, x in at.items() if isinstance(part, tuple) and part[0] == "sums"},
        backward=_backward(units, lives, offsets),
        arena_bytes=arena_bytes,
        scratch_bytes=arena_bytes - bare,
        lower_bound=max(bounds, default=0),
        plain_bound=plain_bound(lives, alignment),
        bounds=bounds,
        how=where.how,
        state_offsets=state_offsets,
        state_bytes=state_bytes,
        input_preserved=False,
        regions=where.regions,
        state_region=where.state,
    )
    whole = replay(plan, graph)
    return dataclasses.replace(plan, input_preserved=all(value in whole for value in graph.inputs))


def _together(layout: _Layout, alignment: int, bound: int) -> Split:
    placement = layout.place(alignment, bound)
    region = Region(None, 0, placement.peak)
    return Split((region,), (0,) * len(layout.blocks), placement.offsets, 0, placement.how)


def _apart(layout: _Layout, lives: Lives, rooms: Rooms, state_bytes: int, alignment: int) -> Split:
    sizes = {part: b.buffer.size for part, b in zip(layout.parts, layout.blocks, strict=True)}
    heat, state_heat = heats(lives, sizes, state_bytes)
    return split(
        [b.buffer for b in layout.blocks],
        layout.overlays,
        heat,
        [_names(part, b) for part, b in zip(layout.parts, layout.blocks, strict=True)],
        rooms,
        state=(state_bytes, state_heat),
        alignment=alignment,
    )


def _names(part: Part, block: Block) -> tuple[str, ...]:
    """By which a block may be named: its tensors, or the layer whose working memory it is."""
    return (part[1].name,) if isinstance(part, tuple) else tuple(v.name for v in block.values)


def step_bound(lives: Lives, step: int, alignment: int, unit: Unit | None = None) -> int:
    """Bytes needed at a step, however it is placed: what it shares with nobody, and the least for what may overlap.

    ``unit``: asked for this one in its place.
    """
    dying, fresh = lives.dying(step), lives.fresh(step)
    own = {lives.root(v) for v in (*dying, *([fresh] if fresh else ()))}
    rest = sum(
        align(root.type.nbytes, alignment)
        for root in lives.first
        if lives.first[root] <= step <= lives.last[root] and root not in own
    )
    return rest + least_bytes(unit or lives.units[step], dying, fresh, alignment)


def plain_bound(lives: Lives, alignment: int) -> int:
    """Most bytes of whole tensors alive at one node, in the order of the steps; windows count as whole tensors."""
    order = [node for unit in lives.units for node in unit.nodes]
    singles = [Unit((node,)) for node in order]
    plain = Lives(lives.graph, singles, lives.views)
    alive = [0] * (len(order) + 2)
    for root in plain.first:
        for step in range(plain.first[root] + 1, plain.last[root] + 2):
            alive[step] += align(root.type.nbytes, alignment)
    return max(alive)


def _shift(views: Mapping[Value, View], value: Value) -> int:
    return views[value].offset if value in views else 0


@dataclass(frozen=True, eq=False)
class _Layout:
    """All that is placed: parts and their blocks in one order, and the pairs that may overlap."""

    parts: list[Part]
    blocks: list[Block]
    overlays: Overlays

    @classmethod
    def of(cls, graph: Graph, lives: Lives) -> _Layout:
        parts: list[Part] = []
        blocks: list[Block] = []
        for root, members in lives.members.items():
            parts.append(root)
            blocks.append(_tensor_block(graph, lives, root, members))
        inside: list[dict[Part, int]] = []
        for step, unit in enumerate(lives.units):
            index = {part: len(parts) + i for i, part in enumerate(parts_of(unit))}
            inside.append(index)
            for part, nbytes in parts_of(unit).items():
                parts.append(part)
                blocks.append(_inner_block(part, nbytes, step))
        where = {part: i for i, part in enumerate(parts) if isinstance(part, Value)}
        overlays: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {}
        for step, unit in enumerate(lives.units):
            index = where | inside[step]
            for (a, b), spans in overlaps(unit, lives.dying(step), lives.fresh(step)).items():
                i, j = (index[_root_of(lives, part)] for part in (a, b))
                overlays[i, j] = spans
        return cls(parts, blocks, overlays)

    @property
    def has_scratch(self) -> bool:
        return any(b.kind == "scratch" for b in self.blocks)

    def without_scratch(self) -> _Layout:
        kept = [i for i, b in enumerate(self.blocks) if b.kind != "scratch"]
        new = {i: k for k, i in enumerate(kept)}
        overlays = {(new[i], new[j]): spans for (i, j), spans in self.overlays.items() if i in new and j in new}
        return _Layout([self.parts[i] for i in kept], [self.blocks[i] for i in kept], overlays)

    def place(self, alignment: int, bound: int, effort: int = EFFORT) -> Placement:
        buffers = [b.buffer for b in self.blocks]
        return place(buffers, alignment=alignment, overlays=self.overlays, bound=bound, effort=effort)


def _root_of(lives: Lives, part: Part) -> Part:
    """A tensor's block is that of its root."""
    root = lives.root(part) if isinstance(part, Value) else None
    return part if root is None else root


def _tensor_block(graph: Graph, lives: Lives, root: Value, members: Sequence[Value]) -> Block:
    is_input = any(v in graph.inputs for v in members)
    is_output = any(v in graph.outputs for v in members)
    roles = [name for name, there in (("input", is_input), ("output", is_output)) if there]
    buffer = Buffer(root.name, root.type.nbytes, lives.first[root], lives.last[root])
    return Block(buffer, 0, ", ".join(roles) or "tensor", tuple(members))


def _inner_block(part: Part, nbytes: int, step: int) -> Block:
    if isinstance(part, Value):
        return Block(Buffer(part.name, nbytes, step, step), 0, "rows", (part,))
    kind, node = part
    return Block(Buffer(f"{kind} of {node.name}", nbytes, step, step), 0, kind)


def _backward(units: Sequence[Unit], lives: Lives, offsets: Mapping[Value, int]) -> frozenset[int]:
    """Steps whose output lies so that only the backward traversal is safe."""
    found: set[int] = set()
    for step, unit in enumerate(units):
        fresh = lives.fresh(step)
        for x, y in overlaps(unit, lives.dying(step), fresh) if unit.rows is None else ():
            node = unit.nodes[0]
            if unit.forward is None or not isinstance(x, Value) or not isinstance(y, Value):
                continue
            port = node.op.inputs[node.inputs.index(x)]
            distance = offsets[y] - offsets[x]
            apart = distance <= -y.type.nbytes or distance >= x.type.nbytes
            if not apart and not allows(forbidden_by(unit.forward, port), distance):
                found.add(step)
    return frozenset(found)


def _state(graph: Graph, views: Mapping[Value, View], alignment: int) -> tuple[dict[str, int], int]:
    """Variables one after the other, each with room for the tensors that lie in its storage."""
    offsets: dict[str, int] = {}
    end = 0
    for name, nbytes in storage_bytes(graph, views).items():
        offsets[name] = end
        end = align(end + nbytes, alignment)
    return offsets, end
