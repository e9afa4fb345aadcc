"""What runs at one step of a plan: a layer, or a run of layers row by row; and what is alive when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Node, Value
from chipfit.ops import Traversal
from chipfit.plan.memory import Spans, align
from chipfit.plan.overlay import both, forbidden_by, forbidden_in_time, least_union
from chipfit.plan.rows import RowProgram, sums_of
from chipfit.plan.views import View

Part = Value | tuple[str, Node]
"""What takes memory at a step: a tensor, a window of rows, or ``("scratch", node)``, ``("sums", node)``."""


@dataclass(frozen=True, eq=False)
class Unit:
    """One step. ``scratch``: bytes by node. ``forward``, ``backward``: how a single layer's kernel goes through its
    tensors, as far as it can and says so. ``rows``: the program of a run, which has as many nodes as it likes."""

    nodes: tuple[Node, ...]
    scratch: Mapping[Node, int] = field(default_factory=dict[Node, int])
    forward: Traversal | None = None
    backward: Traversal | None = None
    rows: RowProgram | None = None

    @property
    def name(self) -> str:
        first = self.nodes[0]
        run = f"rows of {len(self.nodes)} layers from " if self.rows else ""
        return f"{run}{first.op.name} '{first.name}'"

    @property
    def reads(self) -> list[Value]:
        """Tensors that it reads, but those that exist within it only."""
        inside = self.inside
        values = (v for n in self.nodes for v in n.operands if not v.is_const and v not in inside)
        return list(dict.fromkeys(values))

    @property
    def writes(self) -> list[Value]:
        inside = self.inside
        return [v for n in self.nodes for v in n.outputs if v not in inside]

    @property
    def inside(self) -> Mapping[Value, int]:
        """Tensors of which it holds a window of rows only, and the window's bytes."""
        return {w.value: w.nbytes for w in self.rows.windows} if self.rows else {}


class Lives:
    """First and last step at which each root is needed: -1 before the first, ``len(units)`` after the last."""

    def __init__(
        self, graph: Graph, units: Sequence[Unit], views: Mapping[Value, View], *, preserve_input: bool = False
    ) -> None:
        self.graph, self.units, self.views = graph, units, views
        inside = {v for unit in units for v in unit.inside}
        self.first: dict[Value, int] = {}
        self.members: dict[Value, list[Value]] = {}
        for value in graph.inputs:
            if value not in inside:
                self._born(value, -1)
        self.last = dict(self.first)
        for step, unit in enumerate(units):
            for value in unit.reads:
                self._used(value, step, unit)
            for value in unit.writes:
                self._born(value, step)
                self._used(value, step, unit)
        for value in graph.outputs:
            if not value.is_const:
                self._used(value, len(units), None)
        if preserve_input:
            for value in graph.inputs:
                root = self.root(value)
                if root in self.last:
                    self.last[root] = len(units)
        for view in views:
            root = self.root(view)
            if root is not None and root in self.members and view not in self.members[root]:
                self.members[root].append(view)

    def root(self, value: Value) -> Value | None:
        """The value whose place in the arena it shares; None where it lies in a variable's storage."""
        view = self.views.get(value)
        if view is None:
            return value
        return view.root if isinstance(view.root, Value) else None

    def _born(self, value: Value, step: int) -> None:
        root = self.root(value)
        if root is not None:
            self.first[root] = min(self.first.get(root, step), step)
            self.members.setdefault(root, [root])

    def _used(self, value: Value, step: int, unit: Unit | None) -> None:
        root = self.root(value)
        if root is None:
            return
        if root not in self.first:
            raise ChipfitError("M002", f"{unit.name if unit else 'the run'} needs '{value.name}' before it is there")
        self.last[root] = max(self.last.get(root, step), step)

    def dying(self, step: int) -> list[Value]:
        """Whole tensors that a step reads last, each as the step's only view of its memory."""
        unit = self.units[step]
        alone: list[Value] = []
        for value in unit.reads:
            root = self.root(value)
            whole = root is not None and self.is_whole(value, root) and self.last[root] == step
            others = [v for v in unit.reads if v is not value and self.root(v) is root]
            if whole and not others:
                alone.append(value)
        return alone

    def fresh(self, step: int) -> Value | None:
        """The output of a step with one, if its memory is not in use before."""
        writes = self.units[step].writes
        if len(writes) != 1 or self.root(writes[0]) is not writes[0] or self.first[writes[0]] != step:
            return None
        return writes[0]

    def is_whole(self, value: Value, root: Value) -> bool:
        """Whether a value has all the bytes of its root."""
        view = self.views.get(value)
        return view is None or (view.offset == 0 and value.type.nbytes == root.type.nbytes)


# ---------------------------------------------------------------------------------------------- one step


def parts_of(unit: Unit) -> dict[Part, int]:
    """What takes memory at this step alone: windows, scratch and sums, with their bytes."""
    parts: dict[Part, int] = {**unit.inside}
    parts.update({("scratch", node): nbytes for node, nbytes in unit.scratch.items() if nbytes})
    sums = sums_of(unit.nodes[-1])
    if unit.rows and sums is not None and unit.rows.moves[-1].kind == "finish":
        parts["sums", unit.nodes[-1]] = sums.nbytes
    return parts


def overlaps(unit: Unit, dying: Sequence[Value], fresh: Value | None) -> dict[tuple[Part, Part], Spans]:
    """Forbidden distances of the pairs that may share memory during a step."""
    if unit.rows:
        return _overlaps_in_time(unit, dying, fresh)
    node = unit.nodes[0]
    if fresh is None or unit.forward is None:
        return {}
    pairs: dict[tuple[Part, Part], Spans] = {}
    for port, value in zip(node.op.inputs, node.inputs, strict=False):
        if value is not None and value in dying and port in unit.forward.reads and node.inputs.count(value) == 1:
            pairs[value, fresh] = forbidden_by(unit.forward, port)
            if unit.backward is not None and len(dying) == 1:  # several would have to agree on a direction
                pairs[value, fresh] = both(pairs[value, fresh], forbidden_by(unit.backward, port))
    return pairs


def _overlaps_in_time(unit: Unit, dying: Sequence[Value], fresh: Value | None) -> dict[tuple[Part, Part], Spans]:
    ranges = live_ranges(unit, dying, fresh)
    parts = list(ranges)
    return {(a, b): forbidden_in_time(ranges[a], ranges[b]) for i, a in enumerate(parts) for b in parts[i + 1 :]}


def live_ranges(unit: Unit, dying: Sequence[Value], fresh: Value | None) -> dict[Part, tuple[Array, Array]]:
    """Live bytes at each move of a run: of its own parts, and of those tensors that are not alive all the time."""
    assert unit.rows is not None
    live, moves = unit.rows.live, len(unit.rows.moves)
    ranges: dict[Part, tuple[Array, Array]] = {v: live[v] for v in (*dying, *([fresh] if fresh else ())) if v in live}
    for part, nbytes in parts_of(unit).items():
        if isinstance(part, tuple):
            kind, node = part
            used = live[node][1] if kind == "scratch" else np.ones(moves, np.int64)
            ranges[part] = np.zeros(moves, np.int64), used * nbytes
        else:
            ranges[part] = live[part]
    return ranges


def least_bytes(unit: Unit, dying: Sequence[Value], fresh: Value | None, alignment: int) -> int:
    """No placement needs less for the dying inputs, the output and what the step needs itself."""
    if unit.rows:
        ranges = live_ranges(unit, dying, fresh)
        total = sum((high - low for low, high in ranges.values()), np.zeros(1, np.int64))
        return int(total.max(initial=0))
    parts = sum(align(n, alignment) for n in parts_of(unit).values())
    sizes = {v: align(v.type.nbytes, alignment) for v in dying}
    out = align(fresh.type.nbytes, alignment) if fresh else 0
    plain = sum(sizes.values()) + out
    pairs = overlaps(unit, dying, fresh)
    overlaid = [
        sum(sizes.values()) - sizes[x] + least_union(spans, sizes[x], out)
        for (x, _), spans in pairs.items()
        if isinstance(x, Value)
    ]
    return parts + min([plain, *overlaid])
