"""Which layers are run together row by row: the partition of the order with the least peak.

The cost of a run is what must be in memory at its worst moment: its windows, scratch and sums, what is left of its
input and what there is of its output, and everything else that is alive meanwhile. Dynamic programming over the order
finds the partition whose most expensive run is cheapest; among those, the one that fuses the fewest layers, since a row
at a time is a little slower. No layer is computed twice in any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from chipfit.graph import Graph, Node, Value
from chipfit.ops import Traversal
from chipfit.plan.memory import align
from chipfit.plan.rows import RowProgram, cannot_run, row_program
from chipfit.plan.units import Lives, Unit, least_bytes
from chipfit.plan.views import View

MOVES = 150_000
"""Moves of row programs that are looked at, at most: about two seconds. Short runs come first."""


@dataclass(frozen=True, eq=False)
class Layer:
    """What the planner is told of a node: bytes of scratch and traversals of its whole call, and bytes of scratch of a
    call for one row (None: it is not called row by row)."""

    node: Node
    scratch: int = 0
    forward: Traversal | None = None
    backward: Traversal | None = None
    row_scratch: int | None = None

    @property
    def unit(self) -> Unit:
        """The layer on its own."""
        return Unit((self.node,), {self.node: self.scratch}, self.forward, self.backward)


def singles(layers: Sequence[Layer]) -> list[Unit]:
    """Every layer on its own."""
    return [layer.unit for layer in layers]


def fuse(
    graph: Graph,
    layers: Sequence[Layer],
    views: Mapping[Value, View],
    *,
    alignment: int = 4,
    preserve_input: bool = False,
    delivered: AbstractSet[Value] = frozenset(),
    moves: int = MOVES,
) -> list[Unit]:
    """The units of a plan with the least peak.

    ``delivered``: inputs that come row by row; their first readers are part of a run in any case. ``moves`` bounds the
    search.
    """
    return _Search(graph, layers, views, alignment, preserve_input, delivered).best(moves)


class _Search:
    def __init__(
        self,
        graph: Graph,
        layers: Sequence[Layer],
        views: Mapping[Value, View],
        alignment: int,
        preserve_input: bool,
        delivered: AbstractSet[Value],
    ) -> None:
        self.layers, self.alignment, self.delivered = layers, alignment, delivered
        self.nodes = [layer.node for layer in layers]
        self.lives = Lives(graph, singles(layers), views, preserve_input=preserve_input)
        self.readers: dict[Value, list[int]] = {}
        for i, node in enumerate(self.nodes):
            for value in node.operands:
                self.readers.setdefault(value, []).append(i)
        self.outputs = set(graph.outputs)
        #: roots with views, and the views: they exist as whole tensors
        self.whole = {v for members in self.lives.members.values() if len(members) > 1 for v in members}
        self.work = 0
        self.units: dict[tuple[int, int], Unit] = {}
        self.costs: dict[tuple[int, int], int] = {}

    def best(self, moves: int) -> list[Unit]:
        n = len(self.nodes)
        may_grow = [True] * n
        for length in range(1, n + 1):
            for i in range(n - length + 1):
                if may_grow[i] and (length == 1 or self.work < moves):
                    may_grow[i] = self._try(i, i + length - 1)
        return self._partition()

    def _try(self, i: int, j: int) -> bool:
        """Note the cost of a run, if there can be such a run. False: there can be no longer one that begins here."""
        unit = self._unit(i, j)
        if unit is not None:
            self.units[i, j], self.costs[i, j] = unit, self._cost(i, j, unit)
        return self.layers[j].row_scratch is not None and not cannot_run(self.layers[j].node, is_last=False)

    def _unit(self, i: int, j: int) -> Unit | None:
        layers = self.layers[i : j + 1]
        takes = [v for v in self.delivered if any(v in n.operands for n in self.nodes[i : j + 1])]
        if i == j and not takes:
            return layers[0].unit
        if any(layer.row_scratch is None or cannot_run(layer.node, layer is layers[-1]) for layer in layers):
            return None
        inner = [layer.node.outputs[0] for layer in layers[:-1]]
        if not all(self._stays_inside(v, i, j) for v in inner):
            return None
        if any(not all(i <= k <= j for k in self.readers[v]) for v in takes):
            return None
        program = row_program(self.nodes[i : j + 1], set(takes))
        if not isinstance(program, RowProgram):
            return None
        self.work += len(program.moves)
        return Unit(tuple(self.nodes[i : j + 1]), {x.node: x.row_scratch or 0 for x in layers}, rows=program)

    def _stays_inside(self, value: Value, i: int, j: int) -> bool:
        readers = self.readers.get(value, [])
        is_plain = value not in self.outputs and value not in self.whole
        return is_plain and bool(readers) and all(i <= k <= j for k in readers)

    def _cost(self, i: int, j: int, unit: Unit) -> int:
        lives = self.lives
        inside = {*unit.inside, *self.delivered}
        dying = [v for v in unit.reads if self._dies(v, i, j)]
        output = unit.writes[0] if len(unit.writes) == 1 else None
        fresh = output if output is not None and lives.root(output) is output and lives.first[output] == j else None
        own = {lives.root(v) for v in (*dying, *([fresh] if fresh else ()))}
        rest = sum(
            align(root.type.nbytes, self.alignment)
            for root in lives.first
            if lives.first[root] <= j and lives.last[root] >= i and root not in own and root not in inside
        )
        return rest + least_bytes(unit, dying, fresh, self.alignment)

    def _dies(self, value: Value, i: int, j: int) -> bool:
        root = self.lives.root(value)
        if root is None or not self.lives.is_whole(value, root):
            return False
        others = [
            v for v in self.lives.members[root] if v is not value and any(i <= k <= j for k in self.readers.get(v, []))
        ]
        return i <= self.lives.last[root] <= j and not others

    def _peaks(self) -> list[int]:
        """The least peak of all partitions of the first nodes, for each number of them."""
        n = len(self.nodes)
        best = [0, *[1 << 60] * n]
        for (i, j), cost in sorted(self.costs.items(), key=lambda item: item[0][1]):
            best[j + 1] = min(best[j + 1], max(best[i], cost))
        return best

    def _partition(self) -> list[Unit]:
        """Among the partitions with the least peak the one with the fewest fused layers, then the least sum."""
        n = len(self.nodes)
        peak = self._peaks()[n]
        best: list[tuple[int, int]] = [(0, 0), *[(1 << 60, 0)] * n]
        back = [0] * (n + 1)
        for (i, j), cost in sorted(self.costs.items(), key=lambda item: item[0][1]):
            rank = (best[i][0] + j - i, best[i][1] + cost)
            if cost <= peak and rank < best[j + 1]:
                best[j + 1], back[j + 1] = rank, i
        units: list[Unit] = []
        j = n
        while j:
            units.append(self.units[back[j], j - 1])
            j = back[j]
        return units[::-1]
