"""The proof of a memory plan: go through the run and see that no byte is lost that somebody still reads.

The planner reasons with lifetimes; this does not. Step by step regions of the arena are written and read, and a region
that is written takes away every value that it touches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from chipfit.errors import ChipfitError
from chipfit.graph import Graph, Node, Value
from chipfit.ops import op_of

if TYPE_CHECKING:
    from chipfit.plan.arena import MemoryPlan


def replay(plan: MemoryPlan, graph: Graph, order: Sequence[Node]) -> set[Value]:
    """The values that are whole after the run (views aside). Raises ChipfitError M002 where the plan is wrong."""
    check_order(plan.views, graph, order)
    _check_views(plan, graph)
    _check_state(plan, graph)
    arena = _Arena(plan)
    for value in graph.inputs:
        arena.write(value)
    arena.expect(graph.inputs, "before the first step")
    for step, node in enumerate(order):
        arena.expect(node.operands, f"when {node} reads")
        for value in node.outputs:
            if value not in plan.views:
                arena.write(value)
        if step in plan.scratch_offsets:
            arena.write_scratch(step)
        arena.expect([*node.operands, *node.outputs], f"while {node} runs")
    arena.expect(graph.outputs, "after the run")
    return set(arena.regions)


def check_order(views: Mapping[Value, Value], graph: Graph, order: Sequence[Node]) -> None:
    """Every node once; only those that make views may be missing."""
    runs = {node for node in graph.nodes if not node.outputs or not all(value in views for value in node.outputs)}
    if len(set(order)) != len(order) or not runs <= set(order) <= set(graph.nodes):
        raise _wrong("the order does not hold every node once")


def _wrong(what: str) -> ChipfitError:
    return ChipfitError("M002", f"the memory plan is wrong: {what}", "this is a bug of chipfit: please report it")


class _Arena:
    """Which values are whole, and where."""

    def __init__(self, plan: MemoryPlan) -> None:
        self.plan = plan
        self.scratch = {b.buffer.first: b.buffer.size for b in plan.blocks if b.kind == "scratch"}
        self.regions: dict[Value, tuple[int, int]] = {}

    def expect(self, values: Iterable[Value], when: str) -> None:
        """The memory of each of these is whole."""
        for value in values:
            if not value.is_const and self.plan.views.get(value, value) not in self.regions:
                raise _wrong(f"'{value.name}' is not in the arena {when}")

    def write(self, value: Value) -> None:
        if value not in self.plan.offsets:
            raise _wrong(f"'{value.name}' has no offset")
        region = self._region(value.name, self.plan.offsets[value], value.type.nbytes)
        self._take(region)
        self.regions[value] = region

    def write_scratch(self, step: int) -> None:
        self._take(self._region(f"scratch of step {step}", self.plan.scratch_offsets[step], self.scratch[step]))

    def _region(self, name: str, offset: int, nbytes: int) -> tuple[int, int]:
        if offset % self.plan.alignment or not 0 <= offset <= self.plan.arena_bytes - nbytes:
            raise _wrong(f"{name} at {offset} is not aligned, or not within the {self.plan.arena_bytes} bytes")
        return offset, offset + nbytes

    def _take(self, region: tuple[int, int]) -> None:
        lo, hi = region
        self.regions = {v: (a, b) for v, (a, b) in self.regions.items() if max(lo, a) >= min(hi, b)}


def _check_views(plan: MemoryPlan, graph: Graph) -> None:
    for node in graph.nodes:
        for view in node.outputs:
            if view in plan.views:
                x, root = node.operands[0], plan.views[view]
                same = plan.views.get(x, x) is root and view.type.nbytes == root.type.nbytes
                if not op_of(node).is_view or not same or plan.offsets.get(view) != plan.offsets.get(root):
                    raise _wrong(f"'{view.name}' is not a view of '{root.name}'")


def _check_state(plan: MemoryPlan, graph: Graph) -> None:
    end = 0
    regions = [(plan.state_offsets.get(name, -1), v.type.nbytes, name) for name, v in graph.variables.items()]
    for offset, nbytes, name in sorted(regions):
        if offset < end or offset % plan.alignment or offset + nbytes > plan.state_bytes:
            raise _wrong(f"the state '{name}' at {offset} overlaps another or is not within {plan.state_bytes} bytes")
        end = offset + nbytes
