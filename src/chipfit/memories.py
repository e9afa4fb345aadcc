"""Which memory of a board holds what: the arena's memories, constants in several flashes, and whether it all fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from chipfit.codegen import Program
from chipfit.codegen.program import Step
from chipfit.errors import ChipfitError
from chipfit.graph import Graph
from chipfit.ops import Const, Port, op_of
from chipfit.ops._copies import port_value
from chipfit.ops.ethos_u import EthosU
from chipfit.plan import Room, Rooms, fits
from chipfit.targets import Board, Memory

VARIABLES_ROOM = 512
"""Bytes that are kept in the RAM of the stack for the variables of a program that are neither arena nor state."""

CODE_ROOM = 64 * 1024
"""Bytes of flash that are kept for code and tables where constants could fill it."""

EVERYTHING = ("arena", "state", "weights")
"""Names for all activations, all variables and all constants."""

Places = Sequence[tuple[str, str]]
"""Pairs of a name (or pattern) and the memory that it is sent to."""


def parse_places(texts: Iterable[str]) -> list[tuple[str, str]]:
    """``NAME=MEMORY`` as pairs; a name may hold ``=`` itself. Raises ChipfitError U001."""
    places: list[tuple[str, str]] = []
    for text in texts:
        name, equals, memory = text.rpartition("=")
        if not equals or not name or not memory:
            raise ChipfitError("U001", f"'{text}' does not say what goes where", "--place NAME=MEMORY")
        places.append((name, memory))
    return places


def places_for_npu(graphs: Sequence[Graph], board: Board) -> list[tuple[str, str]]:
    """Where an NPU reaches what it reads and writes: activations in its SRAM, constants in the memory beside it. None
    without command streams. The core's own memories are closed to it."""
    npu = board.npu
    if npu is None or not any(isinstance(node.op, EthosU) for graph in graphs for node in graph.nodes):
        return []
    kinds = {memory.name: memory.kind for memory in board.memories}
    names = {"ram": "arena", "flash": "weights"}
    return [(names[kinds[place]], place) for place in npu.memories.values()]


def check_places(places: Places, graphs: Sequence[Graph], board: Board) -> None:
    """Raise ChipfitError U001 for a name that nothing has, or for a memory that the board does not have or that cannot
    hold it."""
    memories = {memory.name: memory for memory in board.memories} if not board.is_host else {}
    constant = {v.name for g in graphs for n in g.nodes for v in n.operands if v.is_const}
    constant |= {n.name for g in graphs for n in g.nodes if any(v.is_const for v in n.operands)}
    changing = {v.name for g in graphs for n in g.nodes for v in (*n.operands, *n.outputs) if not v.is_const}
    known = {"ram": {"arena", "state"} | changing, "flash": {"weights"} | constant}
    for name, memory in places:
        if memory not in memories:
            raise ChipfitError(
                "U001",
                f"{board.name} has no memory '{memory}'",
                f"it has {', '.join(memories) or 'none to choose from'}",
            )
        kind = memories[memory].kind
        if any(fits(n, name) for n in known[kind]):
            continue
        if any(fits(n, name) for n in known["flash" if kind == "ram" else "ram"]):
            what = "constants go into a flash" if kind == "ram" else "what changes goes into a RAM"
            fit = ", ".join(m.name for m in board.memories if m.kind != kind)
            raise ChipfitError("U001", f"'{name}' cannot lie in {memory}: {what}", f"one of {fit}")
        names = ", ".join([*EVERYTHING, *sorted(changing | constant)])
        raise ChipfitError("U001", f"no layer or tensor is called '{name}'", f"one of {names}")


def rooms_for(
    board: Board, stack_bytes: int, places: Places = (), taken: Mapping[str, int] | None = None
) -> Rooms | None:
    """The RAMs that the arena may be split over; None where there is only one. ``taken``: bytes in use already."""
    rams = board.fastest("ram")
    if board.is_host or len(rams) == 1:
        return None
    kept = Counter({board.ram.name: stack_bytes + VARIABLES_ROOM}) + Counter(taken or {})
    rooms = tuple(Room(m.name, max(0, m.size - kept[m.name])) for m in rams)
    names = {m.name for m in rams}
    return Rooms(rooms, tuple(place for place in places if place[1] in names))


# ---------------------------------------------------------------------------------------------- constants


def send_constants(programs: Sequence[Program], board: Board, places: Places = ()) -> None:
    """Say for each constant in which flash it lies. If the program's own is too small, those that are read most for
    their size stay there."""
    flashes = [] if board.is_host else board.fastest("flash")
    if len(flashes) < 2:
        return
    heat, wanted = _heat(programs), _wanted(programs, places, {m.name for m in flashes})
    sizes = {c.symbol: c.data.nbytes for program in programs for c in program.constants}
    free = {m.name: m.size - (_code_room(m) if m == board.flash else 0) for m in flashes}
    where: dict[str, str] = {}
    for symbol in sorted(sizes, key=lambda s: (s not in wanted, -heat[s] / max(1, sizes[s]), s)):
        fit = (m.name for m in flashes if sizes[symbol] <= free[m.name])
        where[symbol] = wanted.get(symbol) or next(fit, flashes[-1].name)
        free[where[symbol]] -= sizes[symbol]
    for program in programs:
        for i, constant in enumerate(program.constants):
            memory = where[constant.symbol]
            program.constants[i] = replace(constant, memory=None if memory == board.flash.name else memory)


def _code_room(flash: Memory) -> int:
    return min(CODE_ROOM, flash.size // 4)


def weight_flash(board: Board) -> int:
    """Flash for all weights when speed is the goal: what the board has at once, less room for code and tables."""
    return (1 << 40) if board.is_host else board.flash.size - _code_room(board.flash)


def _heat(programs: Sequence[Program]) -> Counter[str]:
    """Multiply-accumulates of the layers that read a constant, by its symbol."""
    heat: Counter[str] = Counter()
    for program in programs:
        for step in program.steps:
            for symbol in _symbols(program, step):
                heat[symbol] += op_of(step.node).macs(step.node)
    return heat


def _symbols(program: Program, step: Step) -> set[str]:
    """The constants that a layer reads."""
    found: set[str] = set()
    for arg in (arg for call in step.all_calls for arg in call.args):
        if isinstance(arg, Const):
            found.add(program.constant(arg.data, arg.role))
        elif isinstance(arg, Port):
            value = port_value(step.node, arg)
            if value is not None and value.is_const:
                found.add(program.constant(value.array, "weights"))
    return found


def _wanted(programs: Sequence[Program], places: Places, flashes: set[str]) -> dict[str, str]:
    """The flash that is wanted for constants, by symbol: names of their own count more than ``weights``."""
    chosen = sorted((p for p in places if p[1] in flashes), key=lambda p: p[0] != "weights")
    wanted: dict[str, str] = {}
    for pattern, memory in chosen:
        for program in programs:
            for step in program.steps:
                names = [step.node.name, *(v.name for v in step.node.operands if v.is_const)]
                if pattern == "weights" or any(fits(name, pattern) for name in names):
                    wanted.update(dict.fromkeys(_symbols(program, step), memory))
    return wanted


# ---------------------------------------------------------------------------------------------- does it fit


def ram_needs(programs: Sequence[Program], board: Board, stack_bytes: int, *, shared: bool = False) -> dict[str, int]:
    """Bytes that arena, state and stack need of each RAM. ``shared``: one arena serves all programs."""
    needs = {memory.name: 0 for memory in board.memories if memory.kind == "ram"}
    arenas: dict[str, list[int]] = {name: [] for name in needs}
    for program in programs:
        for block in program.blocks:
            name = block.memory or board.ram.name
            arenas[name].append(block.arena)
            needs[name] += block.state
    for name, sizes in arenas.items():
        needs[name] += max(sizes, default=0) if shared else sum(sizes)
    needs[board.ram.name] += stack_bytes
    return needs


def ram_constants(programs: Sequence[Program]) -> int:
    """Bytes of constants that kernels read from RAM, on chips whose flash ordinary loads do not read; each once."""
    there = {c.symbol: c for p in programs if p.has_flash_apart for c in p.constants if not c.in_flash}
    return sum(constant.data.nbytes for constant in there.values())


def check_memory(programs: Sequence[Program], board: Board, stack_bytes: int, *, shared: bool = False) -> None:
    """Raise M001 before anything is compiled if the plan alone is larger than the board's memories."""
    if board.is_host:
        return
    rams = ram_needs(programs, board, stack_bytes, shared=shared)
    what = "arena, state and stack"
    if copied := ram_constants(programs):
        rams[board.ram.name] += copied
        what = f"arena, state, stack and {copied:,} B of constants that their kernels read from RAM"
    constants = {c.symbol: c for program in programs for c in program.constants}.values()
    flashes = {memory.name: 0 for memory in board.memories if memory.kind == "flash"}
    for constant in constants:
        flashes[constant.memory or board.flash.name] += constant.data.nbytes
    problems = [
        *_problems(rams, board, "RAM", what),
        *_problems(flashes, board, "flash", "constants alone"),
    ]
    if problems:
        worst = max(programs, key=lambda program: program.plan.arena_bytes)
        names = " and ".join(program.name for program in programs)
        raise ChipfitError(
            "M001",
            f"{names} {'does' if len(programs) == 1 else 'do'} not fit {board.name}: {'; '.join(problems)}",
            f"most RAM is needed {worst.plan.peak_step}; "
            "choose a board with more memory, a smaller input or a smaller model",
        )


def _problems(needs: Mapping[str, int], board: Board, kind: str, what: str) -> list[str]:
    """Each memory of a kind that has too much in it; of several also the others, with what they hold."""
    sizes = {memory.name: memory.size for memory in board.memories}
    if all(need <= sizes[name] for name, need in needs.items()):
        return []
    return [
        f"{kind if len(needs) == 1 else name} {need / 1024:,.1f} KiB of {sizes[name] / 1024:,.1f} KiB"
        + (f" ({need - sizes[name]:,} B too many; {what})" if need > sizes[name] else "")
        for name, need in needs.items()
    ]
