"""A run of layers computed row by row: the order of the row calls, and what is in memory at each of them.

Output rows are asked for in order; every layer asks for the rows it needs, each row is computed once. A tensor inside
the run exists as a window of neighbouring rows that slides: new rows are put at its end; rows that nobody needs any
more are dropped, and the rest moves up. Rows of padding are filled in like others, so that all calls of a layer are
alike; only a layer that reads a whole tensor clips its window at the image instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np

from chipfit.graph import Array, Node, Value
from chipfit.ops import Rows, RowSums, op_of

Kind = Literal["row", "sum", "finish", "fill", "drop", "input"]


@dataclass(frozen=True)
class Move:
    """One instruction of a row program.

    ``row``: node ``index`` computes its output row ``row``. ``sum``: it adds row ``row`` of its input; ``finish``: it
    makes its output of the sums. For window ``index``: ``fill`` puts a row of padding at its end, ``input`` a row that
    the caller delivers, ``drop`` takes ``row`` rows from its beginning.
    """

    kind: Kind
    index: int
    row: int = 0


@dataclass(frozen=True, eq=False)
class Window:
    """The rows of a tensor inside a run. ``first``: number of the first row (negative: padding); ``rows`` fit in."""

    value: Value
    first: int
    rows: int

    @property
    def row_bytes(self) -> int:
        return row_bytes(self.value)

    @property
    def nbytes(self) -> int:
        return self.rows * self.row_bytes


@dataclass(frozen=True, eq=False)
class RowProgram:
    """``nodes`` in order, the windows, and the moves. ``padded``: nodes whose windows of input hold rows of padding."""

    nodes: tuple[Node, ...]
    windows: tuple[Window, ...]
    moves: tuple[Move, ...]
    padded: frozenset[Node]
    delivered: frozenset[Value] = frozenset()

    @cached_property
    def window_of(self) -> dict[Value, int]:
        return {w.value: i for i, w in enumerate(self.windows)}

    @property
    def output(self) -> Value:
        return self.nodes[-1].outputs[0]

    @cached_property
    def inputs(self) -> tuple[Value, ...]:
        """Whole tensors that the run reads."""
        values = (v for n in self.nodes for v in n.operands if not v.is_const and v not in self.window_of)
        return tuple(dict.fromkeys(values))

    def reads(self, move: Move) -> dict[Value, tuple[int, int]]:
        """Rows of each operand that a move reads, the end excluded."""
        if move.kind not in ("row", "sum"):
            return {}
        node = self.nodes[move.index]
        return {v: rows_needed(node, v, move.row, node in self.padded) for v in node.operands if not v.is_const}

    @cached_property
    def live(self) -> dict[Value | Node, tuple[Array, Array]]:
        """First live byte and one past the last at every move, of windows, inputs and the output; and, by node, of its
        scratch (1 where it is in use) and its sums."""
        return _Tracker(self).ranges()


def row_bytes(value: Value) -> int:
    return value.type.nbytes // max(1, value.shape[1])


_GEOMETRY: WeakKeyDictionary[Node, Rows | str] = WeakKeyDictionary()


def geometry(node: Node) -> Rows | str:
    """What the operator says of the node's rows; kept, since a search asks for it again and again."""
    if node not in _GEOMETRY:
        _GEOMETRY[node] = op_of(node).rows(node)
    return _GEOMETRY[node]


def rows_needed(node: Node, value: Value, row: int, padded: bool) -> tuple[int, int]:
    """Rows of an operand that output row ``row`` needs (a node of sums: its input's row itself), the end excluded."""
    return _needed(geometry(node), value.shape[1], row, padded)


def _needed(rows: Rows | str, height: int, row: int, padded: bool) -> tuple[int, int]:
    if not isinstance(rows, Rows):
        return row, row + 1
    top = row * rows.stride - rows.pad
    return (top, top + rows.span) if padded else rows.needed(row, height)


def row_program(nodes: Sequence[Node], delivered: AbstractSet[Value] = frozenset()) -> RowProgram | str:
    """The program of a run, or the reason why it cannot be run row by row.

    Every output but the last node's is read inside the run only. ``delivered``: inputs that come row by row.
    """
    for node in nodes:
        reason = cannot_run(node, is_last=node is nodes[-1])
        if reason:
            return f"{node.op.name} '{node.name}': {reason}"
    return _Builder(tuple(nodes), delivered).build()


def cannot_run(node: Node, is_last: bool) -> str:
    """Why a node cannot be part of a run; empty if it can."""
    if len(node.outputs) != 1:
        return "it has no single output"
    rows = geometry(node)
    if isinstance(rows, Rows):
        shapes = [v.shape for v in (*node.operands, *node.outputs) if not v.is_const]
        return "" if all(len(s) == 4 and s[0] == 1 for s in shapes) else "its tensors are not single images"
    return "" if is_last and sums_of(node) is not None else rows


def sums_of(node: Node) -> RowSums | None:
    return op_of(node).row_sums(node)


class _Builder:
    def __init__(self, nodes: tuple[Node, ...], delivered: AbstractSet[Value]) -> None:
        self.nodes = nodes
        self.producer = {node.outputs[0]: i for i, node in enumerate(nodes[:-1])}
        read = {v for node in nodes for v in node.operands}
        self.delivered = frozenset(v for v in delivered if v in read)
        self.values = [*self.delivered, *self.producer]
        self.index = {value: i for i, value in enumerate(self.values)}
        self.geometry = [geometry(node) for node in nodes]
        self.padded = frozenset(n for n, g in zip(nodes, self.geometry, strict=True) if self._is_padded(n, g))
        self.operands = [[v for v in dict.fromkeys(n.operands) if v in self.index] for n in nodes]
        self.first = {value: -self._pad(value) for value in self.values}
        self.next = dict(self.first)
        self.moves: list[Move] = []

    def _is_padded(self, node: Node, rows: Rows | str) -> bool:
        inside = all(v in self.index for v in node.operands if not v.is_const)
        return isinstance(rows, Rows) and rows.can_pad and inside

    def _pad(self, value: Value) -> int:
        pads = [
            g.pad
            for n, g in zip(self.nodes, self.geometry, strict=True)
            if value in n.operands and n in self.padded and isinstance(g, Rows)
        ]
        return max(pads, default=0)

    def build(self) -> RowProgram:
        last = self.nodes[-1]
        rows = self.geometry[-1]
        if isinstance(rows, Rows):
            for r in range(last.outputs[0].shape[1]):
                self._produce(len(self.nodes) - 1, r, "row")
        else:
            for r in range(last["x"].shape[1]):
                self._produce(len(self.nodes) - 1, r, "sum")
            self.moves.append(Move("finish", len(self.nodes) - 1))
        moves, most = self._with_drops()
        windows = tuple(Window(v, self.first[v], most[i]) for i, v in enumerate(self.values))
        return RowProgram(self.nodes, windows, tuple(moves), self.padded, self.delivered)

    def _produce(self, k: int, row: int, kind: Kind) -> None:
        for value, _, end in self._reads(k, row):
            while self.next[value] < end:
                self._extend(value)
        self.moves.append(Move(kind, k, row))

    def _extend(self, value: Value) -> None:
        """One more row of a window."""
        row = self.next[value]
        self.next[value] += 1
        if not 0 <= row < value.shape[1]:
            self.moves.append(Move("fill", self.index[value], row))
        elif value in self.producer:
            self._produce(self.producer[value], row, "row")
        else:
            self.moves.append(Move("input", self.index[value], row))

    def _reads(self, k: int, row: int) -> list[tuple[Value, int, int]]:
        """Rows of windows that a row of node ``k`` needs: the value, the first and one past the last."""
        rows, padded = self.geometry[k], self.nodes[k] in self.padded
        return [(v, *_needed(rows, v.shape[1], row, padded)) for v in self.operands[k]]

    def _with_drops(self) -> tuple[list[Move], list[int]]:
        """The moves with every row dropped as soon as nobody needs it, and the most rows in each window."""
        needed: list[dict[int, int]] = [{} for _ in self.moves]
        lowest: dict[int, int] = {}
        for at in range(len(self.moves) - 1, -1, -1):  # what is needed after each move, of the windows it touches
            move = self.moves[at]
            touched = [self.index[v] for v in self.operands[move.index]] if move.kind in ("row", "sum") else []
            made = self._window_made(move)
            needed[at] = {w: lowest.get(w, 1 << 30) for w in (*touched, *([made] if made is not None else []))}
            if touched:
                for value, begin, _ in self._reads(move.index, move.row):
                    w = self.index[value]
                    lowest[w] = min(lowest.get(w, begin), begin)
        low = [self.first[v] for v in self.values]
        high = list(low)
        most = [0] * len(self.values)
        moves: list[Move] = []
        for move, later in zip(self.moves, needed, strict=True):
            moves.append(move)
            made = self._window_made(move)
            if made is not None:
                high[made] += 1
                most[made] = max(most[made], high[made] - low[made])
            for w, lowest_later in later.items():
                keep = min(lowest_later, high[w])
                if keep > low[w]:
                    moves.append(Move("drop", w, keep - low[w]))
                    low[w] = keep
        return moves, most

    def _window_made(self, move: Move) -> int | None:
        """The window that a move puts a row into."""
        if move.kind in ("fill", "input"):
            return move.index
        return self.index.get(self.nodes[move.index].outputs[0]) if move.kind == "row" else None


@dataclass
class _Tracker:
    """Goes through a program and notes what is live."""

    program: RowProgram

    def ranges(self) -> dict[Value | Node, tuple[Array, Array]]:
        p = self.program
        count = len(p.moves)
        windows = self._windows()
        live: dict[Value | Node, tuple[Array, Array]] = {
            w.value: (np.zeros(count, np.int64), windows[i] * w.row_bytes) for i, w in enumerate(p.windows)
        }
        for value in p.inputs:
            live[value] = self._input(value)
        live[p.output] = self._output()
        running = np.array([m.index if m.kind in ("row", "sum", "finish") else -1 for m in p.moves], np.int64)
        for i, node in enumerate(p.nodes):
            live[node] = np.zeros(count, np.int64), (running == i).astype(np.int64)
        return live

    def _windows(self) -> list[Array]:
        """Rows in each window during each move."""
        p = self.program
        made_by = [p.window_of.get(node.outputs[0]) for node in p.nodes]
        changes = np.zeros((len(p.windows), len(p.moves) + 1), np.int64)
        for at, move in enumerate(p.moves):
            made = made_by[move.index] if move.kind == "row" else None
            if move.kind in ("fill", "input"):
                made = move.index
            if made is not None:
                changes[made, at] += 1
            elif move.kind == "drop":
                changes[move.index, at + 1] -= move.row  # during the move they are still there
        return list(changes.cumsum(axis=1)[:, :-1])

    def _input(self, value: Value) -> tuple[Array, Array]:
        """What this move or a later one still reads of a whole tensor."""
        p, size = self.program, row_bytes(value)
        low, high = np.zeros(len(p.moves), np.int64), np.zeros(len(p.moves), np.int64)
        begin, end = 1 << 40, 0
        readers = {i for i, node in enumerate(p.nodes) if value in node.operands}
        for at in range(len(p.moves) - 1, -1, -1):
            move = p.moves[at]
            if move.kind in ("row", "sum") and move.index in readers:
                a, b = rows_needed(p.nodes[move.index], value, move.row, False)
                begin, end = (min(begin, a), max(end, b)) if a < b else (begin, end)
            low[at], high[at] = min(begin, end) * size, end * size
        return low, high

    def _output(self) -> tuple[Array, Array]:
        """What has been written of the output."""
        p, last = self.program, len(self.program.nodes) - 1
        size = row_bytes(p.output)
        high = np.zeros(len(p.moves), np.int64)
        done = 0
        for at, move in enumerate(p.moves):
            if move.index == last and move.kind == "row":
                done = (move.row + 1) * size
            elif move.index == last and move.kind == "finish":
                done = p.output.type.nbytes
            high[at] = done
        return np.zeros(len(p.moves), np.int64), high
