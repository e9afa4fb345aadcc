"""Kernels and plan together: a kernel's scratch lies in the arena, and what fits beside it decides the kernel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from chipfit.codegen.choose import Candidate, Demands, candidates, layer_of, row_candidates
from chipfit.errors import ChipfitError
from chipfit.graph import Graph, Node, Value
from chipfit.plan import ALIGNMENT, Lives, MemoryPlan, Rooms, Unit, Views, fuse, plan_memory, step_bound


@dataclass(frozen=True)
class Goal:
    """What is asked of memory. ``slower``: how much slower than the quickest kernel may be what takes less scratch.

    ``squeeze``: how much slower the whole model may become (in instructions, estimated) where only a slow kernel makes
    the peak lower. ``rows``: layers may be run row by row. ``preserve_input``: inputs keep their bytes. ``by_rows``:
    the caller delivers the input row by row. ``rooms``: the memories that the arena may be split over.
    """

    slower: float = 1.08
    squeeze: float = 1.0
    rows: bool = False
    preserve_input: bool = False
    by_rows: bool = False
    rooms: Rooms | None = None


BALANCED = Goal()

SLOWEST = 8.0
"""How many times slower than the quickest a kernel may be that is taken to make the peak lower."""


class Fit:
    """Kernels and plan together: a kernel's scratch lies in the arena, and what fits beside it decides the kernel."""

    def __init__(
        self,
        graph: Graph,
        order: Sequence[Node],
        views: Views,
        demands: Demands,
        widths: Sequence[float],
        goal: Goal,
        loops: Mapping[Node, Candidate],
    ) -> None:
        self.graph, self.order, self.views, self.demands, self.goal = graph, order, views, demands, goal
        self.width = dict(zip(order, widths, strict=True))
        self.delivered = _delivered(graph, goal)
        self.whole = {n: [loops[n]] if n in loops else candidates(n, demands, self.width[n], views) for n in order}
        self.by_row: dict[tuple[Node, bool], list[Candidate]] = {}

    def solve(self) -> tuple[MemoryPlan, list[Candidate]]:
        """The plan, and the kernel of each of its nodes in the order in which they run."""
        units = self._units()
        lean = {node: self._least(self._options(node, unit)) for unit in units for node in unit.nodes}
        lean = self._lowest(units, self._squeezed(units, lean))
        units = [_with(unit, lean) for unit in units]
        quick = self._quicken(units, lean)
        plan = self._plan([_with(unit, quick) for unit in units])
        taken = quick
        if plan.arena_bytes > plan.lower_bound and quick != lean:
            least = self._plan(units)
            plan, taken = (least, lean) if least.arena_bytes < plan.arena_bytes else (plan, quick)
        if self.goal.rooms:
            plan = self._housed(plan, self.goal.rooms)
        return plan, [taken[node] for unit in plan.units for node in unit.nodes]

    def _units(self) -> list[Unit]:
        """The steps with the least peak, each with the kernels of least scratch."""
        is_ram = self.goal.rows or bool(self.delivered)
        layers = [layer_of(self._least(self.whole[n]), self._row_scratch(n) if is_ram else None) for n in self.order]
        if not is_ram:
            return [layer.unit for layer in layers]
        return fuse(
            self.graph,
            layers,
            self.views,
            alignment=ALIGNMENT,
            preserve_input=self.goal.preserve_input,
            delivered=self.delivered,
        )

    def _rows(self, node: Node, padded: bool) -> list[Candidate]:
        if (node, padded) not in self.by_row:
            self.by_row[node, padded] = row_candidates(node, self.demands, self.width[node], padded)
        return self.by_row[node, padded]

    def _options(self, node: Node, unit: Unit) -> list[Candidate]:
        """Candidates for a node in its unit, the quickest first."""
        return self.whole[node] if unit.rows is None else self._rows(node, node in unit.rows.padded)

    def _least(self, options: Sequence[Candidate]) -> Candidate:
        """The one with the least scratch among those that are quick enough."""
        return min(self._quick(options), key=lambda option: option.scratch)

    def _quick(self, options: Sequence[Candidate]) -> list[Candidate]:
        limit = (options[0].kernel.per_mac or math.inf) * self.goal.slower
        return [o for o in options if o is options[0] or (o.kernel.per_mac or math.inf) <= limit]

    def _lowest(self, units: Sequence[Unit], lean: dict[Node, Candidate]) -> dict[Node, Candidate]:
        """``lean``, with compressed weights made as many at a time as lets their step need least: fewer take less
        scratch, but unless it is all of them the output cannot lie over the input."""
        taken = dict(lean)
        if not self.demands.compressed:
            return taken
        lives = Lives(self.graph, units, self.views, preserve_input=self.goal.preserve_input)
        for step, unit in enumerate(units):
            for node in unit.nodes if unit.rows is None else ():
                if taken[node].packing is not None:
                    bounds = {
                        option: step_bound(lives, step, ALIGNMENT, _with(unit, {node: option}))
                        for option in self._quick(self.whole[node])
                    }
                    taken[node] = min(bounds, key=lambda option: (bounds[option], option.scratch))
        return taken

    def _row_scratch(self, node: Node) -> int | None:
        """Bytes of scratch if called row by row; None where it cannot be."""
        options = self._rows(node, padded=True)
        return self._least(options).scratch if options else None

    def _squeezed(self, units: Sequence[Unit], lean: dict[Node, Candidate]) -> dict[Node, Candidate]:
        """``lean``, with slower kernels where they lower the peak, as long as the whole model stays quick enough."""
        lives = Lives(self.graph, units, self.views, preserve_input=self.goal.preserve_input)
        limit = self.goal.squeeze * sum(self.whole[n][0].cost for n in self.order)
        bounds = [step_bound(lives, step, ALIGNMENT, _with(unit, lean)) for step, unit in enumerate(units)]
        taken = dict(lean)
        while bounds:
            step = max(range(len(bounds)), key=lambda i: bounds[i])
            trials: list[tuple[int, dict[Node, Candidate]]] = []
            for node in units[step].nodes:
                for option in self._options(node, units[step]):
                    trial = taken | {node: option}
                    if option.scratch < taken[node].scratch and sum(c.cost for c in trial.values()) <= limit:
                        trials.append((step_bound(lives, step, ALIGNMENT, _with(units[step], trial)), trial))
            bound, trial = min(trials, key=lambda t: t[0], default=(bounds[step], taken))
            if bound >= bounds[step]:
                break
            bounds[step], taken = bound, trial
        return taken

    def _quicken(self, units: Sequence[Unit], lean: dict[Node, Candidate]) -> dict[Node, Candidate]:
        """For each node the quickest kernel that does not make its step need more than the worst step does."""
        lives = Lives(self.graph, units, self.views, preserve_input=self.goal.preserve_input)
        peak = max((step_bound(lives, step, ALIGNMENT) for step in range(len(units))), default=0)
        taken = dict(lean)
        for step, unit in enumerate(units):
            for node in unit.nodes:
                for option in self._options(node, unit):
                    trial = taken | {node: option}
                    if option is lean[node] or step_bound(lives, step, ALIGNMENT, _with(unit, trial)) <= peak:
                        taken = trial
                        break
        return taken

    def _housed(self, plan: MemoryPlan, rooms: Rooms) -> MemoryPlan:
        """The plan in a board's memories: all of it in the fastest, if it fits there and nothing else is wanted."""
        is_one = plan.arena_bytes + plan.state_bytes <= rooms.rooms[0].free and not rooms.wanted
        if is_one or len(rooms.rooms) == 1:
            return replace(plan, regions=(replace(plan.regions[0], memory=rooms.rooms[0].memory),))
        return replace(self._plan(plan.units, rooms), scratch_bytes=plan.scratch_bytes)

    def _plan(self, units: Sequence[Unit], rooms: Rooms | None = None) -> MemoryPlan:
        return plan_memory(
            self.graph,
            units,
            self.views,
            alignment=ALIGNMENT,
            preserve_input=self.goal.preserve_input,
            rooms=rooms,
        )


def _delivered(graph: Graph, goal: Goal) -> AbstractSet[Value]:
    """The inputs that come row by row: the images among them."""
    if not goal.by_rows:
        return frozenset()
    images = [v for v in graph.inputs if len(v.shape) == 4 and v.shape[0] == 1 and v.shape[1] > 1]
    if len(images) != len(graph.inputs):
        raise ChipfitError(
            "O002",
            f"{graph.name}: its input cannot come row by row, since it is no single image",
            "leave out --input rows",
        )
    return frozenset(images)


def _with(unit: Unit, taken: dict[Node, Candidate]) -> Unit:
    """A unit with these kernels."""
    if unit.rows is None:
        return taken[unit.nodes[0]].unit
    return replace(unit, scratch={node: taken[node].scratch for node in unit.nodes})
