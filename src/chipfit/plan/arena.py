"""The memory plan of a graph: an offset for every tensor and every scratch in one arena, and the state beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chipfit.errors import ChipfitError
from chipfit.graph import Graph, Node, Value
from chipfit.plan.memory import Buffer, align, busiest_step, place
from chipfit.plan.replay import check_order, replay

NAMED = 4
"""Buffers that are named where the peak is explained."""


@dataclass(frozen=True)
class Block:
    """A stretch of the arena: a tensor together with its views, or the scratch of one step.

    ``buffer.first`` is -1 for what is there before the first step, ``buffer.last`` the number of steps for what is
    still there after the last. ``kind``: ``input``, ``output``, ``input, output``, ``tensor`` or ``scratch``.
    """

    buffer: Buffer
    offset: int
    kind: str
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, eq=False)
class MemoryPlan:
    """Where everything lies that changes while the model runs. All figures are bytes.

    ``offsets``: every value that is no constant; a view has the offset of its root. ``scratch_offsets``: by step.
    ``arena_bytes`` holds both; ``scratch_bytes`` says by how much the arena would be smaller without any scratch (0
    where all of it lies in holes). ``lower_bound``: most bytes alive at one step, scratch included; no plan for this
    order is below. ``busiest``: that step; ``steps``: what runs at each. ``how``: the sequence that led to the
    placement. ``input_preserved``: the inputs still hold their bytes after a run. Variables lie in a region of their
    own (``state_offsets``, ``state_bytes``): they survive the run.
    """

    alignment: int
    steps: tuple[str, ...]
    blocks: tuple[Block, ...]
    views: Mapping[Value, Value]
    offsets: Mapping[Value, int]
    scratch_offsets: Mapping[int, int]
    arena_bytes: int
    scratch_bytes: int
    lower_bound: int
    busiest: int
    how: str
    state_offsets: Mapping[str, int]
    state_bytes: int
    input_preserved: bool

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
        return f"{self.lower_bound:,} B {self.peak_step}: {' + '.join(parts)}"

    @property
    def peak_step(self) -> str:
        """The busiest step in words."""
        return self.when(self.busiest) if self.blocks else ""

    def when(self, step: int) -> str:
        """A step in words."""
        if step < 0:
            return "before the first step"
        return f"at step {step}, {self.steps[step]}" if step < len(self.steps) else "after the last step"

    def check(self, graph: Graph, order: Sequence[Node]) -> None:
        """Prove the plan by replaying the run on the arena. Raises ChipfitError M002 if any live byte is lost."""
        replay(self, graph, order)


def plan_memory(
    graph: Graph,
    order: Sequence[Node],
    scratch: Mapping[int, int],
    views: Mapping[Value, Value],
    *,
    alignment: int = 4,
) -> MemoryPlan:
    """Plan the arena for running the nodes in this order, and prove the plan.

    ``order`` holds every node that runs; those that only make a view may be left out: nothing is to be done there.
    ``scratch``: bytes of working memory by step (index into ``order``); it lives at its step only and may lie in any
    hole. ``views``: each view and its root, from :func:`chipfit.plan.views.find_views`. Inputs are there before the
    first step and may be overwritten after their last use; outputs stay until after the last step. What nobody reads
    still needs its place at the step that writes it.
    """
    check_order(views, graph, order)
    tensors = _tensor_blocks(graph, order, views)
    works = [
        Block(Buffer(f"scratch of {order[step].name}", nbytes, step, step), 0, "scratch")
        for step, nbytes in sorted(scratch.items())
    ]
    blocks = [*tensors, *works]
    buffers = [b.buffer for b in blocks]
    placement = place(buffers, alignment=alignment)
    bare = place(buffers[: len(tensors)], alignment=alignment).peak if works else placement.peak
    placed = [Block(b.buffer, x, b.kind, b.values) for b, x in zip(blocks, placement.offsets, strict=True)]
    state_offsets, state_bytes = _state(graph, alignment)
    plan = MemoryPlan(
        alignment=alignment,
        steps=tuple(f"{node.op.name} '{node.name}'" for node in order),
        blocks=tuple(placed),
        views=dict(views),
        offsets={value: b.offset for b in placed for value in b.values},
        scratch_offsets={b.buffer.first: b.offset for b in placed if b.kind == "scratch"},
        arena_bytes=placement.peak,
        scratch_bytes=max(0, placement.peak - bare),
        lower_bound=placement.lower_bound,
        busiest=busiest_step(buffers, alignment=alignment)[0],
        how=placement.how,
        state_offsets=state_offsets,
        state_bytes=state_bytes,
        input_preserved=False,
    )
    whole = replay(plan, graph, order)
    preserved = all(value in whole for value in graph.inputs)
    return dataclasses.replace(plan, input_preserved=preserved)


def _tensor_blocks(graph: Graph, order: Sequence[Node], views: Mapping[Value, Value]) -> list[Block]:
    """A block for every root, alive from the step that writes it to the last step that reads it or a view of it."""
    first: dict[Value, int] = dict.fromkeys(graph.inputs, -1)
    last = dict(first)
    for step, node in enumerate(order):
        for value in node.operands:
            if not value.is_const:
                last[_known(views.get(value, value), first, node)] = step
        for value in node.outputs:
            if value not in views:
                first[value] = last[value] = step
    for value in graph.outputs:
        if not value.is_const:
            last[views.get(value, value)] = len(order)
    outputs = {views.get(value, value) for value in graph.outputs}
    members: dict[Value, list[Value]] = {root: [root] for root in first}
    for view, root in views.items():
        members[root].append(view)
    blocks: list[Block] = []
    for root, values in members.items():
        roles = [name for name, there in (("input", first[root] < 0), ("output", root in outputs)) if there]
        buffer = Buffer(root.name, root.type.nbytes, first[root], last[root])
        blocks.append(Block(buffer, 0, ", ".join(roles) or "tensor", tuple(values)))
    return blocks


def _known(value: Value, first: Mapping[Value, int], node: Node) -> Value:
    if value not in first:
        raise ChipfitError("M002", f"{node} runs before '{value.name}' is there")
    return value


def _state(graph: Graph, alignment: int) -> tuple[dict[str, int], int]:
    """Variables one after the other."""
    offsets: dict[str, int] = {}
    end = 0
    for name, variable in graph.variables.items():
        offsets[name] = end
        end = align(end + variable.type.nbytes, alignment)
    return offsets, end
