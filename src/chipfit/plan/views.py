"""Which values need no memory of their own, because they are bytes of another value or of a variable's storage.

Three kinds, all found from the calls of copying kernels that move one piece of memory to another:

* The output is bytes of the operand: RESHAPE, and SLICE, SPLIT, UNPACK ... along the outermost axis.
* The operand is bytes of the output: parts of a CONCATENATION or PACK along the outermost axis. Their producers write
  them where they belong. A part that cannot be (a constant, a part of another one) is still copied.
* State is a shift register. READ_VARIABLE gives the storage itself; a CONCATENATION that begins with what was read
  lies in the storage, which grows by the new rows; what is left of SLICE and ASSIGN_VARIABLE is one move inside of it.

The storage changes when the variable is assigned: every other node that touches a view of it must run before that
(:func:`before_assign`). Only a variable that is read before it is assigned, and assigned once at most, has views. The
rows behind a variable's own bytes are nobody's between runs: an input may lie there, and a reset leaves it alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from chipfit.graph import Graph, Node, Value
from chipfit.ops import Call
from chipfit.ops._copies import Copy, Place, copy_calls, one_piece, only_copies

ALIGNMENT = 4
"""Bytes. Every tensor that a kernel computes on begins at a multiple of it."""


@dataclass(frozen=True)
class View:
    """The bytes of ``root`` from ``offset`` on: a value that is no view, or the name of a variable (its storage)."""

    root: Value | str
    offset: int


Views = Mapping[Value, View]


def find_views(graph: Graph) -> dict[Value, View]:
    """Every value that lies in another one or in a variable's storage; roots are never views themselves.

    No constant is a root or a view (it would lie in flash). An input and an output never share memory, nor does an
    output lie in a variable's storage: the next run would change it. A view whose offset is not a multiple of
    ``ALIGNMENT`` is there only where all that touches it are copies.
    """
    held = _variables_read_before_assigned(graph)
    while True:
        views = _Finder(graph, held).find()
        wrong = _waiting_for_each_other(graph, views)
        if not wrong:
            return views
        held -= wrong


def location(views: Views, value: Value) -> View:
    """Where a value lies: a root lies in itself."""
    return views.get(value) or View(value, 0)


def storage_bytes(graph: Graph, views: Views) -> dict[str, int]:
    """Bytes of each variable's storage: its own, and behind them what lies there during a run."""
    sizes = {name: variable.type.nbytes for name, variable in graph.variables.items()}
    for value, view in views.items():
        if isinstance(view.root, str):
            sizes[view.root] = max(sizes[view.root], view.offset + value.type.nbytes)
    return sizes


def calls_to_make(node: Node, views: Views) -> list[Call]:
    """The calls of a node that only copies, without those whose bytes are already in their place."""
    return [call for call in copy_calls(node) if not _is_done(one_piece(node, call), views)]


def nodes_without_work(graph: Graph, views: Views) -> set[Node]:
    """Nodes that need no step: all their bytes are in their places."""
    return {node for node in graph.nodes if only_copies(node) and not calls_to_make(node, views)}


def before_assign(graph: Graph, views: Views) -> dict[Node, list[Node]]:
    """For each assignment to a variable whose storage has views: the nodes that must have run, all that read one."""
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for root in dict.fromkeys(location(views, value).root for value in node.operands):
            if isinstance(root, str):
                readers.setdefault(root, []).append(node)
    assigns = {node: _variable(node) for node in graph.nodes if not node.outputs}
    return {
        assign: [node for node in readers[variable] if node is not assign]
        for assign, variable in assigns.items()
        if variable in readers
    }


def _variable(node: Node) -> str | None:
    return node.op.attributes().get("variable")


def _is_done(copy: Copy | None, views: Views) -> bool:
    return copy is not None and _located(views, copy.source) == _located(views, copy.target)


def _located(views: Views, place: Place) -> View:
    at = View(place.of, 0) if isinstance(place.of, str) else location(views, place.of)
    return View(at.root, at.offset + place.offset)


def _variables_read_before_assigned(graph: Graph) -> set[str]:
    """Variables that nothing reads or assigns again once they have been assigned."""
    held, assigned = set(graph.variables), set[str]()
    for node in graph.nodes:
        variable = _variable(node)
        if variable is None:
            continue
        if variable in assigned:
            held.discard(variable)
        if not node.outputs:
            assigned.add(variable)
    return held


def _waiting_for_each_other(graph: Graph, views: Views) -> set[str]:
    """Variables that each take what they become from the next one's storage, in a ring: none could be the first."""
    takes_from: dict[str, Value | str] = {}
    for node in graph.nodes:
        variable = _variable(node)
        if variable is not None and not node.outputs:
            root = location(views, node.operands[0]).root
            if root != variable:
                takes_from[variable] = root
    ring = set[str]()
    for start in takes_from:
        seen, at = set[str](), takes_from.get(start)
        while isinstance(at, str) and at not in seen:
            seen.add(at)
            at = takes_from.get(at)
        if start in seen:
            ring.add(start)
    return ring


class _Finder:
    """Goes through the nodes once. ``members``: what lies in each root, the root too if it is a value."""

    def __init__(self, graph: Graph, held: Collection[str]) -> None:
        self.graph = graph
        self.inputs, self.outputs = set(graph.inputs), set(graph.outputs)
        self.views: dict[Value, View] = {}
        self.members: dict[Value | str, list[Value]] = {name: [] for name in held}
        #: where the used part of a variable's storage ends: a value that begins there may lie in it
        self.ends = {name: graph.variables[name].type.nbytes for name in held}
        producers, consumers = graph.producers(), graph.consumers()
        #: values that are copied only, by those who make them and those who read them
        self.any_address = {
            value
            for value, producer in producers.items()
            if value not in self.outputs and all(map(only_copies, [producer, *consumers.get(value, [])]))
        }

    def find(self) -> dict[Value, View]:
        for value in self.graph.inputs:
            self.members[value] = [value]
        for node in self.graph.nodes:
            for value in node.outputs:
                self.members[value] = [value]
            copies = [one_piece(node, call) for call in copy_calls(node)]
            for copy in copies:
                if copy is not None:
                    self._look_into_source(copy)
            if copies and copies[0] is not None:
                self._grow_storage(copies[0])
            for copy in copies:
                if copy is not None and not _is_done(copy, self.views):
                    self._look_into_target(copy)
        return self.views

    def _look_into_source(self, copy: Copy) -> None:
        """All of a value is bytes of the source: it lies there."""
        y, at = copy.target.of, self._root_of(copy.source)
        if at is not None and isinstance(y, Value) and y not in self.views and copy.nbytes == y.type.nbytes:
            self._move(y, at)

    def _grow_storage(self, first: Copy) -> None:
        """A value begins with the last bytes of the used storage: it lies there, and its rest behind them."""
        y, at = first.target.of, self._root_of(first.source)
        if at is None or not isinstance(at.root, str) or not isinstance(y, Value) or y in self.views:
            return
        if first.target.offset == 0 and at.offset + first.nbytes == self.ends[at.root] and self._move(y, at):
            self.ends[at.root] = max(self.ends[at.root], at.offset + y.type.nbytes)

    def _look_into_target(self, copy: Copy) -> None:
        """All of a root becomes bytes of the target: it lies there from the beginning."""
        x, at = copy.source.of, self._root_of(copy.target)
        if at is None or isinstance(copy.target.of, str) or isinstance(x, str) or x.is_const:
            return  # in particular, what is assigned must not be in the storage before its readers have run
        root = location(self.views, x).root
        if isinstance(root, Value) and copy.nbytes == root.type.nbytes:
            self._move(root, at)

    def _root_of(self, place: Place) -> View | None:
        """Where these bytes lie, if views may lie there."""
        at = _located(self.views, place)
        return at if at.root in self.members else None

    def _move(self, root: Value, at: View) -> bool:
        """Let a root, and all that lies in it, lie at this place of another one; False where that must not be."""
        moved = {value: View(at.root, at.offset + location(self.views, value).offset) for value in self.members[root]}
        if any(view.offset % ALIGNMENT and value not in self.any_address for value, view in moved.items()):
            return False
        there = self.members[at.root]
        if self.outputs.intersection(moved) and (isinstance(at.root, str) or self.inputs.intersection(there)):
            return False
        if self.inputs.intersection(moved) and self.outputs.intersection(there):
            return False
        there.extend(moved)
        del self.members[root]
        self.views.update(moved)
        return True
