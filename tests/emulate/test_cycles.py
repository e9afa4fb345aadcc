"""The cycle model: what it reads of instructions, what it makes of them, and that it misses none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from chipfit.emulate import MachineResult, estimate_cycles, how_estimated, run_elf
from chipfit.emulate.counter import has_native_counter
from chipfit.emulate.cycles import block_cycles, jump_cycles
from chipfit.emulate.disassembly import Op, disassemble
from chipfit.targets import Board, Cycles, load_board, load_core
from emulate.samples import EMULATED, STDIN, Build

M4 = load_core("cortex-m4f")
# Thumb code by hand (Armv7-M Architecture Reference Manual, A7.7), little endian
LDR_R0_R1 = "0868"  # ldr r0, [r1]
LDR_R2_R3 = "1a68"  # ldr r2, [r3]
LDR_R2_R0 = "0268"  # ldr r2, [r0]
STR_R0_R1 = "0860"  # str r0, [r1]
STR_R0_R1_R2 = "8850"  # str r0, [r1, r2]
ADDS_R1_4 = "0431"  # adds r1, #4
NOP = "00bf"
LDM_R0_4 = "f0c8"  # ldm r0!, {r4, r5, r6, r7}
POP_R4_PC = "10bd"  # pop {r4, pc}
PUSH_R4_LR = "10b5"  # push {r4, lr}
SMLAD = "21fb0230"  # smlad r0, r1, r2, r3
MLA = "01fb0230"  # mla r0, r1, r2, r3
SDIV = "91fbf2f0"  # sdiv r0, r1, r2
BNE = "fdd1"
BX_LR = "7047"
VFMA = "a0eea10a"  # vfma.f32 s0, s1, s3
SMULL = "82fb0301"  # smull r0, r1, r2, r3


def ops(*code: str) -> list[Op]:
    return disassemble(bytes.fromhex("".join(code)), M4)


def costs(name: str) -> Cycles:
    cycles = load_core(name).cycles
    assert cycles is not None
    return cycles


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (LDR_R0_R1, "load", 0),
        (STR_R0_R1, "store", 0),
        (LDM_R0_4, "load_multiple", 4),
        (POP_R4_PC, "load_multiple", 2),
        (PUSH_R4_LR, "store_multiple", 2),
        (SMLAD, "multiply", 0),
        (MLA, "multiply_add", 0),
        (SMULL, "multiply_long", 0),
        (SDIV, "divide", 0),
        (BNE, "branch", 0),
        (BX_LR, "jump_register", 0),
        (VFMA, "float_multiply_add", 0),
        (NOP, "plain", 0),
        ("d2e90201", "load_multiple", 2),  # ldrd r0, r1, [r2, #8]
        ("01f0d0f8", "call", 0),
        ("02e0", "jump", 0),
        ("10b1", "branch", 0),  # cbz r0
        ("dfe800f0", "jump_register", 0),  # tbb [pc, r0]
        ("8746", "jump_register", 0),  # mov pc, r0
        ("6ff31f00", "plain", 0),  # bfc: no branch
        ("fffffff7", "unknown", 0),
    ],
)
def test_kinds(code: str, kind: str, words: int) -> None:
    op = ops(code)[0]
    assert (op.kind, op.words) == (kind, words)


def test_registers() -> None:
    (load,) = ops(LDR_R2_R0)
    assert (load.writes, load.address) == ({"r2"}, {"r0"})
    (several,) = ops(LDM_R0_4)
    assert (several.writes, several.address) == ({"r0", "r4", "r5", "r6", "r7"}, {"r0"})
    (dual,) = ops(SMLAD)
    assert (dual.writes, dual.reads) == ({"r0"}, {"r1", "r2", "r3"})
    (short,) = ops(ADDS_R1_4)
    assert (short.writes, short.reads) == ({"r1"}, {"r1"})
    narrow, _ = disassemble(bytes.fromhex("03450500" + "0345a500"), load_core("rv32imc"))  # lb a0, (a0); lb a0, 10(a0)
    assert (narrow.kind, narrow.writes, narrow.address, narrow.is_narrow) == ("load", {"a0"}, {"a0"}, True)


@pytest.mark.parametrize(
    ("code", "cycles"),
    [
        ((LDR_R0_R1,), 2),
        ((LDR_R0_R1, LDR_R2_R3), 3),  # pipelined: the manual's own example
        ((LDR_R0_R1, LDR_R2_R0), 4),  # not, for the second address is the first's result
        ((LDR_R0_R1, NOP, LDR_R2_R3), 5),
        ((STR_R0_R1,), 1),
        ((STR_R0_R1_R2,), 2),
        ((LDR_R2_R3, STR_R0_R1), 3),
        ((ADDS_R1_4, LDR_R0_R1), 4),  # 1 + a wait for the address + 2
        ((ADDS_R1_4, NOP, LDR_R0_R1), 4),
        ((LDM_R0_4,), 5),  # 1 + N
        ((SMLAD, SMLAD), 2),
        ((LDM_R0_4, SMLAD, BNE), 7),
        ((SDIV,), 12),
    ],
)
def test_cortex_m4(code: tuple[str, ...], cycles: int) -> None:
    assert block_cycles(ops(*code), costs("cortex-m4f")) == cycles


def test_cortex_m3() -> None:
    """As the Cortex-M4, but for products."""
    m3, m4 = costs("cortex-m3"), costs("cortex-m4f")
    assert [block_cycles(ops(code), m3) for code in (MLA, SMULL, LDM_R0_4, SDIV)] == [2, 5, 5, 12]
    assert [block_cycles(ops(code), m4) for code in (MLA, SMULL)] == [1, 1]


def test_jumps() -> None:
    m4, m0 = costs("cortex-m4f"), costs("cortex-m0plus")
    assert [jump_cycles(ops(code)[0], m4) for code in (BNE, BX_LR, POP_R4_PC, NOP)] == [2, 2, 2, 0]
    assert [jump_cycles(ops(code)[0], m0) for code in (BNE, BX_LR, POP_R4_PC, NOP)] == [1, 1, 2, 0]
    assert block_cycles(ops(POP_R4_PC), m0) + jump_cycles(ops(POP_R4_PC)[0], m0) == 3 + 2  # 3 + N


def test_two_in_a_cycle() -> None:
    m7 = costs("cortex-m7")
    assert block_cycles(ops(NOP, NOP, NOP, NOP), m7) == 2
    assert block_cycles(ops(SMLAD, NOP), m7) == 1
    assert block_cycles(ops(SMLAD, SMLAD), m7) == 2  # one multiplier
    assert block_cycles(ops(ADDS_R1_4, ADDS_R1_4), m7) == 2  # the second waits for the first
    assert block_cycles(ops(LDR_R0_R1, LDR_R2_R0), m7) == 3  # 1, a wait of 1, 1


def test_waiting_for_a_load() -> None:
    code = bytes.fromhex("03a50500" + "33050500")  # lw a0, (a1); add a0, a0, zero
    found = disassemble(code, load_core("rv32imc"))
    assert block_cycles(found, costs("rv32imc")) == 3
    assert block_cycles(found[:1], costs("rv32imc")) == 1


def with_costs(board: Board, cycles: Cycles | None, wait_states: int | None = None) -> Board:
    memories = tuple(dataclasses.replace(memory, wait_states=wait_states) for memory in board.memories)
    return dataclasses.replace(board, core=dataclasses.replace(board.core, cycles=cycles), memories=memories)


def run(build: Build, program: str, board: Board, marks: tuple[str, ...], native: bool = True) -> MachineResult:
    return run_elf(build(program, board.name), board, stdin=STDIN, marks=marks, native_counter=native)


@pytest.mark.parametrize("name", EMULATED)
def test_at_one_cycle_each_it_counts_instructions(build: Build, name: str) -> None:
    """Every block that ran is found, disassembled whole and attributed as the emulator does it."""
    board = load_board(name)
    result = run(build, "checksum", board, ("main", "checksum", "floats"), has_native_counter())
    unit = with_costs(board, Cycles(multiple=1, each=0))
    assert estimate_cycles(result, unit) == [mark.instructions for mark in result.marks]
    code = {segment.address: segment.data for segment in result.elf.segments}
    for block in result.executed:
        start = max(origin for origin in code if origin <= block.address)
        found = disassemble(code[start][block.address - start :][: block.size], board.core)
        assert all(op.kind != "unknown" for op in found)
    assert estimate_cycles(result, with_costs(board, None)) is None


@pytest.mark.parametrize("name", EMULATED)
@pytest.mark.parametrize("native", [True, False])
def test_taken_branches_are_exact(build: Build, name: str, native: bool) -> None:
    """The loop of counted.c branches 1000 times, 999 of them taken; after it one return, and one call in main."""
    if native and not has_native_counter():
        pytest.skip("the native counter cannot be built here")
    board = load_board(name)
    result = run(build, "counted", board, ("loop", "frame"), native)
    free, taken = (
        estimate_cycles(result, with_costs(board, Cycles(multiple=1, each=0, branch_taken=cost))) for cost in (0, 1)
    )
    assert free is not None
    assert taken is not None
    assert taken[0] - free[0] == 999
    waiting = estimate_cycles(result, with_costs(board, Cycles(multiple=1, each=0), wait_states=3))
    assert waiting is not None
    assert waiting[0] - free[0] == 3 * (999 + 2)


def test_cortex_m4_loop(build: Build) -> None:
    """2 instructions, 1000 turns of 3 and 999 taken branches at P = 2, then 3 instructions, a return and a call."""
    board = load_board("nucleo-l4r5zi")
    result = run(build, "counted", board, ("loop", "frame"))
    cycles = estimate_cycles(result, board)
    assert cycles is not None
    assert cycles[0] == 2 + 3 * 1000 + 2 * 999 + 2 + (1 + 2) + (1 + 2)


def test_assumptions_are_told(tmp_path: Path) -> None:
    assert how_estimated(load_board("nucleo-l4r5zi")) == "estimated (cycle model; zero wait states assumed)"
    assert "approximate costs, zero wait states assumed" in how_estimated(load_board("esp32-c3"))
    waiting = with_costs(load_board("nucleo-l4r5zi"), Cycles(), wait_states=5)
    assert how_estimated(waiting) == "estimated (cycle model; 5 wait states at taken branches)"
