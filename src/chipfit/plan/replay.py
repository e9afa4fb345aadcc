"""The proof of a memory plan: go through the run and see that no byte is lost that somebody still reads.

The planner reasons with lifetimes and distances; this does not. Every byte of the memory carries a tag that says which
byte of which tensor it holds. Step by step (for a run of layers, row by row) what is read must carry its tags, and what
is written gets new ones. Where an output lies over an input of the same step, the kernel's traversal is gone through:
no byte may be written before its last read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Node, Value
from chipfit.ops import Traversal, op_of
from chipfit.ops._copies import only_copies
from chipfit.plan.rows import Move, RowProgram, row_bytes, sums_of
from chipfit.plan.units import Unit
from chipfit.plan.views import View, calls_to_make, location, nodes_without_work

if TYPE_CHECKING:
    from chipfit.plan.arena import MemoryPlan

_NOTHING = -1


def replay(plan: MemoryPlan, graph: Graph) -> set[Value]:
    """The inputs and outputs that are whole after the run. Raises ChipfitError M002 where the plan is wrong."""
    check_order(plan.views, graph, plan.units)
    _check_state(plan, graph)
    memory = _Memory(plan, graph)
    delivered = {v for unit in plan.units for v in unit.inside}
    memory.write([v for v in graph.inputs if v not in delivered])
    memory.expect([v for v in graph.inputs if v not in delivered], "before the first step")
    for step, unit in enumerate(plan.units):
        if unit.rows:
            _replay_rows(memory, unit, unit.rows)
        else:
            _replay_layer(memory, unit, step in plan.backward)
    memory.expect(graph.outputs, "after the run")
    ports = (v for v in (*graph.inputs, *graph.outputs) if v not in delivered and not v.is_const)
    return {v for v in ports if memory.is_whole(v)}


def check_order(views: Mapping[Value, View], graph: Graph, units: Sequence[Unit]) -> None:
    """Every node once; only those whose work is done by views may be missing."""
    order = [node for unit in units for node in unit.nodes]
    runs = set(graph.nodes) - nodes_without_work(graph, views)
    if len(set(order)) != len(order) or not runs <= set(order) <= set(graph.nodes):
        raise _wrong("the order does not hold every node once")


def _wrong(what: str) -> ChipfitError:
    return ChipfitError("M002", f"the memory plan is wrong: {what}", "this is a bug of chipfit: please report it")


class _Memory:
    """Arena and state as tags. Tags of a root are ``base[root] + byte``; views carry those of their root."""

    def __init__(self, plan: MemoryPlan, graph: Graph) -> None:
        self.plan = plan
        self.tags: Array = np.full(plan.arena_bytes + plan.state_bytes, _NOTHING, np.int64)
        self.base: dict[object, int] = {}
        self._next = 0
        for name, variable in graph.variables.items():
            self.put(self.variable(name), variable.type.nbytes, self.tag(name, 0))

    def variable(self, name: str) -> int:
        return self.plan.arena_bytes + self.plan.state_offsets[name]

    def tag(self, root: object, offset: int) -> int:
        if root not in self.base:
            self.base[root] = self._next
            self._next += 1 << 32
        return self.base[root] + offset

    def put(self, at: int, nbytes: int, tag: int) -> None:
        self.tags[at : at + nbytes] = np.arange(tag, tag + nbytes)

    def region(self, value: Value) -> tuple[int, int]:
        """Where a value lies: first byte and one past the last."""
        view = location(self.plan.views, value)
        if isinstance(view.root, str):
            at = self.variable(view.root) + view.offset
            return at, at + value.type.nbytes
        if value not in self.plan.offsets:
            raise _wrong(f"'{value.name}' has no offset")
        at = self.plan.offsets[value]
        self._check(value.name, at, value.type.nbytes, is_part=view.root is not value)
        return at, at + value.type.nbytes

    def _check(self, name: str, at: int, nbytes: int, is_part: bool = False) -> None:
        if (at % self.plan.alignment and not is_part) or not 0 <= at <= self.plan.arena_bytes - nbytes:
            raise _wrong(f"{name} at {at} is not aligned, or not within the {self.plan.arena_bytes} bytes")
        if nbytes and not any(at in region and at + nbytes - 1 in region for region in self.plan.regions):
            raise _wrong(f"{name} at {at} does not lie in one memory")

    def first_tag(self, value: Value) -> int:
        view = location(self.plan.views, value)
        return self.tag(view.root, view.offset)

    def is_whole(self, value: Value) -> bool:
        lo, hi = self.region(value)
        tag = self.first_tag(value)
        return bool(np.array_equal(self.tags[lo:hi], np.arange(tag, tag + hi - lo)))

    def expect(self, values: Iterable[Value], when: str) -> None:
        """Every byte of each of these is there."""
        for value in values:
            if not value.is_const and not self.is_whole(value):
                raise _wrong(f"'{value.name}' is not whole {when}")

    def write(self, values: Iterable[Value]) -> None:
        for value in values:
            lo, hi = self.region(value)
            self.put(lo, hi - lo, self.first_tag(value))

    def scratch(self, node: Node, nbytes: int) -> tuple[int, int]:
        """Working memory of a node, which now holds nothing that anybody knows."""
        at = self.plan.scratch_offsets[node]
        self._check(f"scratch of {node}", at, nbytes)
        self.tags[at : at + nbytes] = _NOTHING
        return at, at + nbytes

    def assign(self, name: str, nbytes: int) -> None:
        """A variable gets its next contents: whatever else lay in its storage is gone."""
        at = self.variable(name)
        end = min((o for o in self.plan.state_offsets.values() if o > self.plan.state_offsets[name]), default=None)
        stop = len(self.tags) if end is None else self.plan.arena_bytes + end
        self.tags[at:stop] = _NOTHING
        self.put(at, nbytes, self.tag(("next", name), 0))

    # ------------------------------------------------------------------------------------------ rows

    def window(self, value: Value, nbytes: int) -> int:
        at = self.plan.offsets[value]
        self._check(f"rows of {value.name}", at, nbytes)
        return at

    def expect_sums(self, node: Node, when: str) -> None:
        sums = sums_of(node)
        assert sums is not None
        at, tag = self.plan.sums_offsets[node], self.tag("sums", 0)
        if not np.array_equal(self.tags[at : at + sums.nbytes], np.arange(tag, tag + sums.nbytes)):
            raise _wrong(f"the sums of {node} are not whole {when}")

    def put_row(self, value: Value, at: int, row: int) -> None:
        size = row_bytes(value)
        self.put(at, size, self.tag(value, (row + (1 << 20)) * size))

    def expect_rows(self, value: Value, at: int, rows: tuple[int, int], when: str) -> None:
        size = row_bytes(value)
        tag, nbytes = self.tag(value, (rows[0] + (1 << 20)) * size), (rows[1] - rows[0]) * size
        if not np.array_equal(self.tags[at : at + nbytes], np.arange(tag, tag + nbytes)):
            raise _wrong(f"rows {rows[0]} to {rows[1] - 1} of '{value.name}' are not whole {when}")


def _replay_layer(memory: _Memory, unit: Unit, is_backward: bool) -> None:
    node = unit.nodes[0]
    memory.expect(node.operands, f"when {node} reads")
    variable = node.op.attributes().get("variable")
    for value in node.outputs:
        for x in dict.fromkeys(v for v in node.operands if not v.is_const):
            _check_overlay(memory, unit, x, value, is_backward)
    written = [v for v in node.outputs if not _is_there(memory.plan, node, v)]
    memory.write(written)
    alive = [v for v in node.operands if not v.is_const and not any(_meets(memory, v, y) for y in node.outputs)]
    for owner, nbytes in unit.scratch.items():
        if nbytes:
            memory.scratch(owner, nbytes)
    memory.expect([*alive, *node.outputs], f"while {node} runs")
    if variable is not None and not node.outputs:
        memory.assign(variable, node.operands[0].type.nbytes)


def _is_there(plan: MemoryPlan, node: Node, value: Value) -> bool:
    """Whether an output is a view that the node need not write."""
    if value not in plan.views:
        return False
    return not calls_to_make(node, plan.views) if only_copies(node) else op_of(node).is_view


def _root(plan: MemoryPlan, value: Value) -> Value | str:
    return location(plan.views, value).root


def _meets(memory: _Memory, a: Value, b: Value) -> bool:
    (lo, hi), (begin, end) = memory.region(a), memory.region(b)
    return lo < end and begin < hi


def _check_overlay(memory: _Memory, unit: Unit, x: Value, y: Value, is_backward: bool) -> None:
    """Where output and input of a layer overlap, the traversal must allow it."""
    node = unit.nodes[0]
    if not _meets(memory, x, y) or _is_there(memory.plan, node, y) or _root(memory.plan, x) is _root(memory.plan, y):
        return
    traversal = unit.backward if is_backward else unit.forward
    ports = [p for p, v in zip(node.op.inputs, node.inputs, strict=False) if v is x]
    if traversal is None or len(ports) != 1 or ports[0] not in traversal.reads:
        raise _wrong(f"'{y.name}' lies over '{x.name}', of which {node} may read anything at any time")
    distance = memory.region(y)[0] - memory.region(x)[0]
    if not survives(traversal, ports[0], x.type.nbytes, y.type.nbytes, distance):
        raise _wrong(f"{node} writes '{y.name}' over bytes of '{x.name}' that it has still to read")


def survives(traversal: Traversal, port: str, nbytes: int, out_bytes: int, distance: int) -> bool:
    """Whether every byte of the operand is read for the last time before the output, ``distance`` bytes further up,
    is written over it. Goes through the steps one by one."""
    last = _last_step(*traversal.reads[port], nbytes)
    starts, stops = traversal.writes
    from_end = _last_step(starts[::-1], stops[::-1], out_bytes)
    written = np.where(from_end < 0, -1, len(starts) - 1 - from_end)
    begin, end = max(0, distance), min(nbytes, distance + out_bytes)
    if begin >= end:
        return True
    reads, writes = last[begin:end], written[begin - distance : end - distance]
    same_step = traversal.staged or (traversal.lane > 0 and distance % traversal.lane == 0)
    return bool(((reads <= writes) if same_step else (reads < writes))[(reads >= 0) & (writes >= 0)].all())


def _last_step(low: Array, high: Array, nbytes: int) -> Array:
    """For each byte the last step that touches it, -1 if none does."""
    last = np.full(nbytes, -1, np.int64)
    steps = np.flatnonzero(low < high)[::-1]
    if not len(steps):
        return last
    lo, hi = low[steps], high[steps]
    begin = np.append(nbytes, np.minimum.accumulate(lo)[:-1])  # what later steps touch, if it is one piece
    end = np.append(0, np.maximum.accumulate(hi)[:-1])
    end[0] = begin[0] = hi[0]
    if ((lo > end) | (hi < begin)).any():  # it is not: one after the other
        for p in steps[::-1].tolist():
            last[low[p] : high[p]] = p
        return last
    for a, b in ((lo, np.minimum(hi, begin)), (np.maximum(lo, end), hi)):
        sizes = np.maximum(0, b - a)
        inner = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        last[np.repeat(a, sizes) + inner] = np.repeat(steps, sizes)
    return last


# ---------------------------------------------------------------------------------------------- runs


class _Windows:
    """The rows in each window of a run."""

    def __init__(self, memory: _Memory, program: RowProgram) -> None:
        self.memory, self.program = memory, program
        self.at = [memory.window(w.value, w.nbytes) for w in program.windows]
        self.low = [w.first for w in program.windows]
        self.high = list(self.low)

    def put(self, index: int, row: int) -> None:
        window = self.program.windows[index]
        slot = self.high[index] - self.low[index]
        if row != self.high[index] or slot >= window.rows:
            raise _wrong(f"row {row} of '{window.value.name}' does not fit its window of {window.rows}")
        self.memory.put_row(window.value, self.at[index] + slot * window.row_bytes, row)
        self.high[index] += 1

    def expect(self, index: int, rows: tuple[int, int], when: str) -> None:
        window = self.program.windows[index]
        if not self.low[index] <= rows[0] or rows[1] > self.high[index]:
            raise _wrong(f"rows {rows[0]} to {rows[1] - 1} of '{window.value.name}' are not in its window {when}")
        at = self.at[index] + (rows[0] - self.low[index]) * window.row_bytes
        self.memory.expect_rows(window.value, at, rows, when)

    def drop(self, index: int, count: int) -> None:
        window, at = self.program.windows[index], self.at[index]
        self.expect(index, (self.low[index], self.high[index]), "when it moves")
        self.low[index] += count
        for slot, row in enumerate(range(self.low[index], self.high[index])):
            self.memory.put_row(window.value, at + slot * window.row_bytes, row)


def _replay_rows(memory: _Memory, unit: Unit, program: RowProgram) -> None:
    windows = _Windows(memory, program)
    whole = [v for v in program.inputs if not v.is_const]
    memory.expect(whole, f"when {unit.name} begin")
    sums = sums_of(unit.nodes[-1])
    if sums is not None and unit.nodes[-1] in memory.plan.sums_offsets:
        memory.put(memory.plan.sums_offsets[unit.nodes[-1]], sums.nbytes, memory.tag("sums", 0))
    for move in program.moves:
        if move.kind in ("fill", "input"):
            windows.put(move.index, move.row)
        elif move.kind == "drop":
            windows.drop(move.index, move.row)
        else:
            _replay_move(memory, unit, windows, move)
    memory.expect([program.output], f"after {unit.name}")


def _replay_move(memory: _Memory, unit: Unit, windows: _Windows, move: Move) -> None:
    program = windows.program
    node = program.nodes[move.index]
    when = f"when {node} computes row {move.row}"
    nbytes = unit.scratch.get(node, 0)
    if nbytes:
        memory.scratch(node, nbytes)
    if move.kind in ("sum", "finish"):
        memory.expect_sums(node, when)
    output = node.outputs[0]
    if move.kind == "row" and output in program.window_of:
        windows.put(program.window_of[output], move.row)
    elif move.kind == "row":
        lo, _ = memory.region(output)
        size = row_bytes(output)
        memory.put(lo + move.row * size, size, memory.first_tag(output) + move.row * size)
    elif move.kind == "finish":
        memory.write([output])
    for value, rows in program.reads(move).items():  # after the writes: a row call may write before its last read
        if value in program.window_of:
            windows.expect(program.window_of[value], rows, when)
        elif rows[0] < rows[1]:
            lo, _ = memory.region(value)
            size = row_bytes(value)
            tag = memory.first_tag(value) + rows[0] * size
            have = memory.tags[lo + rows[0] * size : lo + rows[1] * size]
            if not np.array_equal(have, np.arange(tag, tag + len(have))):
                raise _wrong(f"rows of '{value.name}' are not whole {when}")


def _check_state(plan: MemoryPlan, graph: Graph) -> None:
    end = 0
    regions = [(plan.state_offsets.get(name, -1), v.type.nbytes, name) for name, v in graph.variables.items()]
    for offset, nbytes, name in sorted(regions):
        if offset < end or offset % plan.alignment or offset + nbytes > plan.state_bytes:
            raise _wrong(f"the state '{name}' at {offset} overlaps another or is not within {plan.state_bytes} bytes")
        end = offset + nbytes
