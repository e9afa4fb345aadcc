"""How much the assumptions of the cycle model matter: the table in docs/performance.md, for the Cortex-M4F."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path

import numpy as np
from run import BOARDS, benchmark_models

from chipfit.codegen.harness import RUN_END
from chipfit.emulate import MachineResult, estimate_cycles, run_elf
from chipfit.firmware import ELF_NAME
from chipfit.model import Model
from chipfit.targets import Board, Cycles, load_board

JUMPS = ("branch_taken", "jump", "call", "jump_register", "load_pc")


def variants(costs: Cycles) -> dict[str, Cycles]:
    """The costs with one assumption changed."""

    def refill(cycles: int) -> Cycles:
        return dataclasses.replace(costs, **dict.fromkeys(JUMPS, cycles))

    return {
        "P = 1": refill(1),
        "P = 3": refill(3),
        "no wait for computed addresses": dataclasses.replace(costs, address_stall=0),
        "loads never overlap": dataclasses.replace(costs, load_after_load=costs.load),
    }


def measure(model: Model, board: Board) -> MachineResult:
    """One run over a random input."""
    with tempfile.TemporaryDirectory(prefix="chipfit-bench-") as folder:
        firmware = model.compile(board, Path(folder) / "firmware")
        marks = [f"{firmware.name}_run", *(layer["function"] for layer in firmware.manifest["layers"]), RUN_END]
        stdin = b"".join(np.ascontiguousarray(array).tobytes() for array in model.samples(1)[0])
        return run_elf(firmware.folder / ELF_NAME, board, stdin=stdin, marks=marks)


def with_costs(board: Board, costs: Cycles, wait_states: int | None) -> Board:
    memories = tuple(dataclasses.replace(memory, wait_states=wait_states) for memory in board.memories)
    return dataclasses.replace(board, core=dataclasses.replace(board.core, cycles=costs), memories=memories)


def cycles(result: MachineResult, board: Board) -> int:
    """Of the run itself: what follows its end is the test program's."""
    return sum((estimate_cycles(result, board) or [])[:-1])


def main() -> None:
    board = load_board(BOARDS[0])
    costs = board.core.cycles
    if costs is None:
        sys.exit(f"the cycles of {board.core.name} are unknown")
    boards = {name: with_costs(board, changed, None) for name, changed in variants(costs).items()}
    boards["5 wait states at each taken branch"] = with_costs(board, costs, 5)
    print(f"| model | cycles per instruction | {' | '.join(boards)} |")
    print(f"| --- | {' | '.join(['---:'] * (1 + len(boards)))} |")
    for model in benchmark_models():
        result = measure(model, board)
        base = cycles(result, with_costs(board, costs, None))
        instructions = sum(mark.instructions for mark in result.marks[:-1])
        changed = [f"{100 * (cycles(result, other) / base - 1):+.1f} %" for other in boards.values()]
        print(f"| {model.name} | {base / instructions:.2f} | {' | '.join(changed)} |")


if __name__ == "__main__":
    main()
