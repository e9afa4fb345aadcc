"""The order in which the nodes run: the file's, unless another one needs less memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from chipfit.graph import Graph, Node, Value
from chipfit.plan.memory import align
from chipfit.plan.views import ALIGNMENT, before_assign, find_views, location

WIDTH = 600
EXPANSIONS = 150_000
"""Partial orders that are extended by one node, at most: about half a second. Counted, so that the result does not
depend on the machine."""


def schedule(graph: Graph) -> list[Node]:
    """The nodes in an order of least peak of live bytes, as far as a beam search finds one; else as in the file.

    A network without branches and variables has one order only. For every variable its reads and assignments stay in
    the order of the file, and what reads a view of its storage runs before it is assigned, wherever the file has it.
    The file's order is kept unless another is better.
    """
    work = _Work(graph)
    order = work.first_order()
    peak = work.peak(order)
    if peak > work.floor and not work.has_one_order():
        order = _beam(work, peak) or order
    return [graph.nodes[i] for i in order]


def live_peak(graph: Graph, order: list[Node]) -> int:
    """Most bytes alive at one step of this order: the lower bound of any placement, without scratch and state."""
    index = {node: i for i, node in enumerate(graph.nodes)}
    return _Work(graph).peak([index[node] for node in order])


@dataclass(eq=False)
class _Root:
    """Memory of its own: a value and its views. Sets of nodes are bit masks."""

    size: int
    writers: int = 0  # nodes that write into it: it is alive from the first of them on
    users: int = 0  # nodes that read it: it is alive until all of them have run


@dataclass
class _Step:
    """What running one node needs. Sets of nodes are bit masks."""

    before: int = 0  # nodes that must have run
    after: int = 0  # nodes that wait for this one
    reads: list[_Root] = field(default_factory=list[_Root])
    writes: list[_Root] = field(default_factory=list[_Root])


class _Work:
    def __init__(self, graph: Graph) -> None:
        self.views = find_views(graph)
        #: two nodes that do not run: one is always done and writes the inputs, one never is and reads the outputs
        self.begun, never = 2 << len(graph.nodes), 1 << len(graph.nodes)
        values = [*graph.inputs, *(value for node in graph.nodes for value in node.outputs)]
        self.roots = {v: _Root(align(v.type.nbytes, ALIGNMENT)) for v in values if v not in self.views}
        for root in self._roots_of(graph.inputs):
            root.writers |= self.begun
        for root in self._roots_of(graph.outputs):
            root.users |= never
        self.steps = [self._step(i, node) for i, node in enumerate(graph.nodes)]
        self._add_edges(graph)
        given = [root for root in self.roots.values() if root.writers & self.begun]
        self.start = sum(root.size for root in given)
        self.kept = sum(root.size for root in given if root.users)
        own = (sum(root.size for root in {*step.reads, *step.writes}) for step in self.steps)
        #: no order is below: every node needs its inputs and outputs at once
        self.floor = max([self.start, *own])

    def _roots_of(self, values: Iterable[Value]) -> list[_Root]:
        """Roots in the arena; constants and storage of variables have their own places."""
        at = dict.fromkeys(location(self.views, value).root for value in values if not value.is_const)
        return [self.roots[root] for root in at if not isinstance(root, str)]

    def _step(self, i: int, node: Node) -> _Step:
        step = _Step(reads=self._roots_of(node.operands), writes=self._roots_of(node.outputs))
        for root in step.reads:
            root.users |= 1 << i
        for root in step.writes:
            root.writers |= 1 << i
        return step

    def _add_edges(self, graph: Graph) -> None:
        index = {node: i for i, node in enumerate(graph.nodes)}
        producers = graph.producers()
        last_use: dict[str, int] = {}
        for i, node in enumerate(graph.nodes):
            for value in node.operands:
                if value in producers:
                    self._wait(i, index[producers[value]])
            variable = node.op.attributes().get("variable")
            if variable is not None:
                if variable in last_use:
                    self._wait(i, last_use[variable])
                last_use[variable] = i
        for assign, readers in before_assign(graph, self.views).items():
            for reader in readers:
                self._wait(index[assign], index[reader])

    def _wait(self, node: int, for_node: int) -> None:
        self.steps[node].before |= 1 << for_node
        self.steps[for_node].after |= 1 << node

    def ready_after(self, done: int, ready: int, node: int) -> int:
        """Nodes that can run next, once ``node`` has run too."""
        ready &= ~(1 << node)
        for other in _bits(self.steps[node].after):
            if not self.steps[other].before & ~done:
                ready |= 1 << other
        return ready

    def run(self, done: int, node: int) -> tuple[int, int]:
        """Bytes that come alive while ``node`` runs after those that are ``done``, and the change that is left."""
        step, after = self.steps[node], done | 1 << node
        new = [root for root in step.writes if not root.writers & done]
        made = sum(root.size for root in new)
        over = sum(root.size for root in dict.fromkeys([*step.reads, *new]) if not root.users & ~after)
        return made, made - over

    @property
    def first_ready(self) -> int:
        return sum(1 << i for i, step in enumerate(self.steps) if not step.before)

    def first_order(self) -> list[int]:
        """The file's order; a node that must wait runs as soon as it can."""
        order: list[int] = []
        done, ready = self.begun, self.first_ready
        while ready:
            node = _bits(ready)[0]
            order.append(node)
            done |= 1 << node
            ready = self.ready_after(done, ready, node)
        return order

    def peak(self, order: list[int]) -> int:
        done, live, peak = self.begun, self.kept, self.start
        for node in order:
            made, change = self.run(done, node)
            peak = max(peak, live + made)
            done |= 1 << node
            live += change
        return peak

    def has_one_order(self) -> bool:
        done, ready = self.begun, self.first_ready
        while ready:
            if ready & (ready - 1):
                return False
            node = ready.bit_length() - 1
            done |= 1 << node
            ready = self.ready_after(done, ready, node)
        return True


def _bits(mask: int) -> list[int]:
    bits: list[int] = []
    while mask:
        low = mask & -mask
        bits.append(low.bit_length() - 1)
        mask ^= low
    return bits


@dataclass
class _State:
    """A set of nodes that have run, and the best way found to run them. The live bytes follow from the set."""

    done: int
    ready: int
    live: int
    peak: int
    last: int = -1
    parent: _State | None = None


def _beam(work: _Work, limit: int) -> list[int] | None:
    """An order with a peak below ``limit``: the best of those that the beam reaches; None if it reaches none."""
    budget = 0
    beam = [_State(work.begun, work.first_ready, work.kept, work.start)]
    for _ in work.steps:
        level: dict[int, _State] = {}
        budget += EXPANSIONS // len(work.steps)  # what a level leaves over is for the next ones
        for state in beam:
            choices = _choices(work, state)
            if len(choices) > budget and level:
                break
            budget -= len(choices)
            for node in choices:
                made, change = work.run(state.done, node)
                done = state.done | 1 << node
                peak = max(state.peak, state.live + made)
                known = level.get(done)
                if peak >= limit or (known is not None and known.peak <= peak):
                    continue
                ready = work.ready_after(done, state.ready, node)
                level[done] = _State(done, ready, state.live + change, peak, last=node, parent=state)
        beam = sorted(level.values(), key=lambda s: (s.peak, s.live))[:WIDTH]
    return _trace(beam[0]) if beam else None


def _choices(work: _Work, state: _State) -> list[int]:
    """Nodes to try next. One that neither raises the peak nor leaves more bytes alive can only be good: it alone."""
    ready = _bits(state.ready)
    for node in ready:
        made, change = work.run(state.done, node)
        if state.live + made <= state.peak and change <= 0:
            return [node]
    return ready


def _trace(state: _State) -> list[int]:
    order: list[int] = []
    while state.parent is not None:
        order.append(state.last)
        state = state.parent
    return order[::-1]
