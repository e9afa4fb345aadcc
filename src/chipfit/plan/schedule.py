"""The order in which the nodes run: the file's, unless another one needs less memory."""

from __future__ import annotations

from dataclasses import dataclass

from chipfit.graph import Graph, Node, Value
from chipfit.plan.memory import align
from chipfit.plan.views import find_views

ALIGNMENT = 4
WIDTH = 600
EXPANSIONS = 150_000
"""Partial orders that are extended by one node, at most: about half a second. Counted, so that the result does not
depend on the machine."""


def schedule(graph: Graph) -> list[Node]:
    """The nodes in an order of least peak of live bytes, as far as a beam search finds one; else as in the file.

    A network without branches and variables has one order only. For every variable its reads and assignments stay in
    the order of the file. The file's order is kept unless another is better.
    """
    work = _Work(graph)
    order = list(range(len(graph.nodes)))
    peak = work.peak(order)
    if peak > work.floor and not work.has_one_order():
        order = _beam(work, peak) or order
    return [graph.nodes[i] for i in order]


def live_peak(graph: Graph, order: list[Node]) -> int:
    """Most bytes alive at one step of this order: the lower bound of any placement, without scratch."""
    index = {node: i for i, node in enumerate(graph.nodes)}
    return _Work(graph).peak([index[node] for node in order])


@dataclass
class _Step:
    """What running one node does. Sets of nodes are bit masks."""

    before: int = 0  # nodes that must have run
    after: int = 0  # nodes that wait for this one
    makes: int = 0  # bytes that come alive
    keeps: int = 0  # those of them that stay alive (somebody reads them)


class _Work:
    def __init__(self, graph: Graph) -> None:
        views = find_views(graph)
        producer = {value: i for i, node in enumerate(graph.nodes) for value in node.outputs}
        users: dict[Value, int] = {value: 0 for value in (*graph.inputs, *producer) if value not in views}
        last_use: dict[str, int] = {}
        self.steps = [_Step() for _ in graph.nodes]
        for i, node in enumerate(graph.nodes):
            for value in node.operands:
                if value in producer:
                    self._wait(i, producer[value])
                if not value.is_const:
                    users[views.get(value, value)] |= 1 << i
            variable = node.op.attributes().get("variable")
            if variable is not None:
                if variable in last_use:
                    self._wait(i, last_use[variable])
                last_use[variable] = i
        never = 1 << len(graph.nodes)  # a node that does not run: what the caller reads is never freed
        for value in graph.outputs:
            if not value.is_const:
                users[views.get(value, value)] |= never
        size = {value: align(value.type.nbytes, ALIGNMENT) for value in users}
        self.start = sum(size[value] for value in graph.inputs)
        self.unread = sum(size[value] for value in graph.inputs if not users[value])
        for value, mask in users.items():
            if value in producer:
                step = self.steps[producer[value]]
                step.makes += size[value]
                step.keeps += size[value] if mask else 0
        #: per node: the values it reads, as bytes and the nodes that read them
        self.reads: list[list[tuple[int, int]]] = [[] for _ in graph.nodes]
        for i, node in enumerate(graph.nodes):
            roots = dict.fromkeys(views.get(value, value) for value in node.operands if not value.is_const)
            self.reads[i] = [(size[root], users[root]) for root in roots]
        own = (s.makes + sum(n for n, _ in r) for s, r in zip(self.steps, self.reads, strict=True))
        #: no order is below: every node needs its inputs and outputs at once
        self.floor = max([self.start, *own])

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

    def freed(self, done: int, node: int) -> int:
        """Bytes that nobody reads any more after ``node``; ``done`` includes it."""
        return sum(size for size, users in self.reads[node] if not users & ~done)

    @property
    def first_ready(self) -> int:
        return sum(1 << i for i, step in enumerate(self.steps) if not step.before)

    def peak(self, order: list[int]) -> int:
        done, live, peak = 0, self.start - self.unread, self.start
        for node in order:
            peak = max(peak, live + self.steps[node].makes)
            done |= 1 << node
            live += self.steps[node].keeps - self.freed(done, node)
        return peak

    def has_one_order(self) -> bool:
        done, ready = 0, self.first_ready
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
    beam = [_State(0, work.first_ready, work.start - work.unread, work.start)]
    for _ in work.steps:
        level: dict[int, _State] = {}
        budget += EXPANSIONS // len(work.steps)  # what a level leaves over is for the next ones
        for state in beam:
            choices = _choices(work, state)
            if len(choices) > budget and level:
                break
            budget -= len(choices)
            for node in choices:
                step = work.steps[node]
                done = state.done | 1 << node
                peak = max(state.peak, state.live + step.makes)
                known = level.get(done)
                if peak >= limit or (known is not None and known.peak <= peak):
                    continue
                live = state.live + step.keeps - work.freed(done, node)
                ready = work.ready_after(done, state.ready, node)
                level[done] = _State(done, ready, live, peak, last=node, parent=state)
        beam = sorted(level.values(), key=lambda s: (s.peak, s.live))[:WIDTH]
    return _trace(beam[0]) if beam else None


def _choices(work: _Work, state: _State) -> list[int]:
    """Nodes to try next. One that neither raises the peak nor leaves more bytes alive can only be good: it alone."""
    ready = _bits(state.ready)
    for node in ready:
        step = work.steps[node]
        if state.live + step.makes <= state.peak and step.keeps <= work.freed(state.done | 1 << node, node):
            return [node]
    return ready


def _trace(state: _State) -> list[int]:
    order: list[int] = []
    while state.parent is not None:
        order.append(state.last)
        state = state.parent
    return order[::-1]
