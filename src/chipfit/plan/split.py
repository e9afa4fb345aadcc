"""The arena in several memories: what goes into which, and a placement in each.

Memories are given from the fastest on. What fits into the fastest as a whole stays together there. Else buffers are
taken by heat: what a step needs for itself (windows of rows, scratch, sums) first, then by bytes read and written in a
run for each byte of size. Each goes into the first memory in which a real placement with all that is there already
succeeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from chipfit.graph import Node, Value
from chipfit.plan.memory import Buffer, Overlays, Placement, busiest_step, place
from chipfit.plan.rows import geometry, row_bytes, rows_needed
from chipfit.plan.units import Lives, Unit
from chipfit.plan.views import location

TRIAL_EFFORT = 50_000
"""Pairs of buffers that are looked at to see whether one more fits a memory."""

FINAL_EFFORT = 200_000
"""The same for the placement of all that is in a memory."""

ARENA, STATE = "arena", "state"
"""Names by which :class:`Rooms` places everything that changes, and the variables."""


def fits(name: str, pattern: str) -> bool:
    """Whether a name is the one that is meant, or fits a pattern with ``*``, ``?`` and ``[...]``."""
    return name == pattern or fnmatchcase(name, pattern)


@dataclass(frozen=True)
class Room:
    """A memory that the arena may use, and how many bytes are free in it."""

    memory: str
    free: int


@dataclass(frozen=True)
class Rooms:
    """The memories for the arena, the fastest first.

    ``wanted``: pairs of a pattern and a memory: what is named like that (a tensor, a layer, ``arena`` or ``state``)
    goes there, the last one that fits a name; a name of its own counts more than ``arena``.
    """

    rooms: tuple[Room, ...]
    wanted: tuple[tuple[str, str], ...] = ()

    def index(self, *names: str) -> int | None:
        """The room that is wanted for what has these names; None: any."""
        wanted = [(p, m) for p, m in self.wanted if p not in (ARENA, STATE) and any(fits(n, p) for n in names)]
        wanted = wanted or [(p, m) for p, m in self.wanted if p == ARENA and STATE not in names]
        wanted = wanted or [(p, m) for p, m in self.wanted if p == STATE and STATE in names]
        return next((i for i, r in enumerate(self.rooms) if r.memory == wanted[-1][1]), None) if wanted else None


@dataclass(frozen=True)
class Region:
    """The part of the arena in one memory: the plan's offsets ``begin`` to ``begin + bytes``.

    ``memory`` is None where the program has one block of memory, wherever that lies.
    """

    memory: str | None
    begin: int
    bytes: int

    def __contains__(self, offset: object) -> bool:
        return isinstance(offset, int) and self.begin <= offset < self.begin + self.bytes


@dataclass(frozen=True)
class Split:
    """Regions one behind the other, and for each buffer its region and offset. ``state``: the variables' region."""

    regions: tuple[Region, ...]
    region_of: tuple[int, ...]
    offsets: tuple[int, ...]
    state: int
    how: str


def traffic(lives: Lives) -> Counter[Value | str]:
    """Bytes read and written in a run by root, or by the variable in whose storage they lie: each row of an operand
    once for every output row that needs it, everything else once."""
    found: Counter[Value | str] = Counter()

    def add(value: Value, nbytes: int) -> None:
        found[location(lives.views, value).root] += nbytes

    for unit in lives.units:
        for value, nbytes in _read_by(unit):
            add(value, nbytes)
        for value in unit.writes:
            add(value, value.type.nbytes)
        for node in unit.nodes:
            name = node.op.attributes().get("variable")
            if name is not None:
                found[name] += sum(v.type.nbytes for v in (*node.operands, *node.outputs))
    return found


def _read_by(unit: Unit) -> list[tuple[Value, int]]:
    if unit.rows is None:
        node = unit.nodes[0]
        return [(v, _rows_read(node, v)) for v in dict.fromkeys(node.operands) if not v.is_const]
    reads = (item for move in unit.rows.moves for item in unit.rows.reads(move).items())
    return [(v, (rows[1] - rows[0]) * row_bytes(v)) for v, rows in reads if v not in unit.inside]


def _rows_read(node: Node, value: Value) -> int:
    """Bytes of an operand that a whole layer reads."""
    if isinstance(geometry(node), str) or len(value.shape) != 4:
        return value.type.nbytes
    rows = (rows_needed(node, value, row, False) for row in range(node.outputs[0].shape[1]))
    return sum(high - low for low, high in rows) * row_bytes(value)


def split(
    buffers: Sequence[Buffer],
    overlays: Overlays,
    heat: Sequence[tuple[int, float]],
    names: Sequence[tuple[str, ...]],
    rooms: Rooms,
    *,
    state: tuple[int, float],
    alignment: int,
) -> Split:
    """Distribute buffers over rooms and place them in each.

    ``heat``: by buffer, the larger the hotter. ``names``: by buffer, those by which it may be wanted somewhere.
    ``state``: bytes of the variables, which stay in one piece, and their heat. What fits nowhere goes into the largest
    room, whose region is then larger than it: the caller compares.
    """
    trial = _Trial(buffers, overlays, rooms, alignment)
    wanted = [rooms.index(*name) for name in names]
    state_room = rooms.index(STATE)
    items = sorted(range(len(buffers)), key=lambda i: (wanted[i] is None, -heat[i][0], -heat[i][1], buffers[i].size, i))
    colder = [i for i in items if wanted[i] is None and heat[i] <= (0, state[1])]
    at = items.index(colder[0]) if state_room is None and colder else 0 if state_room is not None else len(items)
    for i in items[:at]:
        trial.put(i, wanted[i])
    state_at = trial.put_state(state[0], state_room)
    for i in items[at:]:
        trial.put(i, wanted[i])
    return trial.result(state_at if state[0] else None)


class _Trial:
    """Rooms that fill up."""

    def __init__(self, buffers: Sequence[Buffer], overlays: Overlays, rooms: Rooms, alignment: int) -> None:
        self.buffers, self.overlays, self.alignment = buffers, overlays, alignment
        self.names = [room.memory for room in rooms.rooms]
        self.free = [room.free for room in rooms.rooms]
        self.largest = max(range(len(self.free)), key=lambda r: self.free[r])
        self.members: list[list[int]] = [[] for _ in self.free]
        self.state = 0

    def put(self, item: int, wanted: int | None) -> None:
        room = wanted
        if room is None:
            rooms = (r for r in range(len(self.free)) if self._fits(r, [*self.members[r], item]))
            room = next(rooms, self.largest)
        self.members[room].append(item)

    def put_state(self, nbytes: int, wanted: int | None) -> int:
        room = wanted
        if room is None:
            rooms = (r for r in range(len(self.free)) if self._fits(r, self.members[r], nbytes))
            room = next(rooms, self.largest)
        self.free[room] -= nbytes
        return room

    def _fits(self, room: int, members: Sequence[int], more: int = 0) -> bool:
        free = self.free[room] - more
        buffers, overlays = self._those(members)
        if free < 0 or busiest_step(buffers, alignment=self.alignment, overlays=overlays)[1] > free:
            return False
        return self._place(members, effort=TRIAL_EFFORT, bound=free).peak <= free

    def _those(self, members: Sequence[int]) -> tuple[list[Buffer], Overlays]:
        new = {i: k for k, i in enumerate(members)}
        overlays = {(new[i], new[j]): spans for (i, j), spans in self.overlays.items() if i in new and j in new}
        return [self.buffers[i] for i in members], overlays

    def _place(self, members: Sequence[int], **options: int) -> Placement:
        buffers, overlays = self._those(members)
        return place(buffers, alignment=self.alignment, overlays=overlays, **options)

    def result(self, state_room: int | None) -> Split:
        """Only rooms in use become regions."""
        regions: list[Region] = []
        region_of, offsets = [0] * len(self.buffers), [0] * len(self.buffers)
        how: list[str] = []
        state = 0
        begin = 0
        for room, members in enumerate(self.members):
            members.sort()
            if room == state_room:
                state = len(regions)
            elif not members:
                continue
            placement = self._place(members, effort=FINAL_EFFORT)
            for i, offset in zip(members, placement.offsets, strict=True):
                region_of[i], offsets[i] = len(regions), begin + offset
            regions.append(Region(self.names[room], begin, placement.peak))
            how.append(placement.how)
            begin += placement.peak
        return Split(tuple(regions), tuple(region_of), tuple(offsets), state, ", ".join(filter(None, how)))


def heats(
    lives: Lives, parts: Mapping[Value | tuple[str, Node], int], state_bytes: int
) -> tuple[list[tuple[int, float]], float]:
    """The heat of each part with so many bytes, and of the variables: how urgently each belongs into fast memory."""
    moved = traffic(lives)
    inside = {v for unit in lives.units for v in unit.inside}
    heat = [
        (1, 0.0) if isinstance(part, tuple) or part in inside else (0, moved[part] / max(1, nbytes))
        for part, nbytes in parts.items()
    ]
    variables = sum(n for root, n in moved.items() if isinstance(root, str))
    return heat, variables / max(1, state_bytes)
