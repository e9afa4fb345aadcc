"""The cycle model: an estimate of a core's cycles from what the emulator counted exactly.

The emulator gives the executions of every block and of its branch if that was taken; the core's file gives the costs of
its instructions (targets/cores). A block is disassembled once. Within it the model follows the pipeline in order:
neighbouring loads that overlap, waiting for a loaded value or a computed address, two instructions in one cycle. It
starts anew in each block, and it knows no caches and no data-dependent times.

Memories answer at once, except flash whose ``wait_states`` a board states: these are added to each taken branch, since
prefetching hides them from code that runs straight on. A board that states none gets zero, and the result says so.
What the emulator counts knows no addresses of data: where data lies in a memory that may wait, the result names it.
"""

from __future__ import annotations

from chipfit.emulate.disassembly import BRANCH, FLOAT, MEMORY, MULTIPLY, Op, disassemble
from chipfit.emulate.elf import Elf
from chipfit.emulate.machine import MachineResult
from chipfit.emulate.toolchain import used_bytes
from chipfit.targets import Board, Cycles

_CLASSES = (MEMORY, MULTIPLY, BRANCH, FLOAT)


def estimate_cycles(result: MachineResult, board: Board) -> list[int] | None:
    """The cycles of each of the run's marks, in their order: those that were measured, where the emulator does that.

    None where the core's costs are unknown.
    """
    if result.cycles is not None:
        return list(result.cycles)
    costs = board.core.cycles
    if costs is None:
        return None
    waits = board.flash.wait_states or 0
    known: dict[tuple[int, int], tuple[float, float]] = {}
    cycles = [0.0] * len(result.marks)
    for block in result.executed:
        if block.mark < 0:
            continue
        place = (block.address, block.size)
        if place not in known:
            ops = disassemble(_code(result.elf, *place), board.core)
            known[place] = (block_cycles(ops, costs), jump_cycles(ops[-1], costs) + waits)
        straight, jump = known[place]
        cycles[block.mark] += straight * block.hits + jump * block.taken
    return [round(count) for count in cycles]


def how_estimated(board: Board, elf: Elf | None = None) -> str:
    """What an estimate for this board assumes, in words; ``elf``: the program, where it may use several memories."""
    if board.core.arch == "avr":
        return "measured (simavr)"
    core = "approximate costs, " if board.core.cycles and board.core.cycles.approximate else ""
    waits = board.flash.wait_states
    flash = "zero wait states assumed" if waits is None else f"{waits} wait states at taken branches"
    others = [m for m in board.memories if m not in (board.flash, board.ram) and m.wait_states != 0]
    slow = [m.name for m in others if elf and used_bytes(elf, board, m)]
    data = f"; waits for data in {', '.join(slow)} not counted" if slow else ""
    return f"estimated (cycle model; {core}{flash}{data})"


def block_cycles(ops: list[Op], costs: Cycles) -> float:
    """Cycles of a block whose last branch is not taken."""
    now = 0.0  # the next instruction starts here, or later
    ready: dict[str, float] = {}  # when a register can be computed with
    address_ready: dict[str, float] = {}  # when it can be an address
    before: Op | None = None
    alone: tuple[Op, float] | None = None  # an instruction that another may still join, and its start
    for op in ops:
        cost = _cost(op, before, costs)
        needed = max(
            [0.0]
            + [ready.get(register, 0.0) for register in op.reads]
            + [address_ready.get(register, 0.0) for register in op.address]
        )
        if costs.issue > 1 and alone is not None and needed <= alone[1] and not _collide(alone[0], op):
            start, alone = alone[1], None
        else:
            start = max(now, needed)
            alone = (op, start) if cost == 1 else None
        end = start + cost
        now = max(now, end)
        for register in op.writes:
            ready[register] = end + _latency(op, costs)
            address_ready[register] = ready[register] + (0 if op.kind in MEMORY else costs.address_stall)
        before = op
    return now


def jump_cycles(last: Op, costs: Cycles) -> float:
    """What a block takes longer when its last instruction jumps."""
    if last.kind in MEMORY:
        return costs.load_pc
    extra = {
        "branch": costs.branch_taken,
        "jump": costs.jump,
        "call": costs.call,
        "jump_register": costs.jump_register,
    }
    return extra.get(last.kind, 0)


def _cost(op: Op, before: Op | None, costs: Cycles) -> float:
    overlaps = before is not None and before.kind == "load" and not (before.writes & op.address)
    if op.kind in ("load_multiple", "store_multiple"):
        return costs.multiple + costs.each * op.words
    if op.kind == "load":
        return costs.load_after_load if overlaps else costs.load
    if op.kind == "store":
        return costs.store if overlaps or not op.is_indexed else costs.store_indexed
    by_kind = {
        "multiply": costs.multiply,
        "multiply_add": costs.multiply_add,
        "multiply_long": costs.multiply_long,
        "divide": costs.divide,
        "float_op": costs.float_op,
        "float_multiply_add": costs.float_multiply_add,
        "float_divide": costs.float_divide,
    }
    return by_kind.get(op.kind, 1)


def _latency(op: Op, costs: Cycles) -> float:
    if op.kind not in ("load", "load_multiple"):
        return 0
    return costs.load_narrow_to_use if op.is_narrow else costs.load_to_use


def _collide(first: Op, second: Op) -> bool:
    """Whether two instructions need the same part of the core, or the same result."""
    return any(first.kind in group and second.kind in group for group in _CLASSES) or bool(first.writes & second.writes)


def _code(elf: Elf, address: int, size: int) -> bytes:
    for segment in elf.segments:
        start = address - segment.address
        if start >= 0 and start + size <= len(segment.data):
            return segment.data[start : start + size]
    raise LookupError(f"no code at {address:#010x}")
