"""What a model needs on a board, compiled and run there; or what its plan says where it is too large for that."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chipfit.build import Aim, Weights, lower_for
from chipfit.errors import ChipfitError
from chipfit.memories import ram_needs
from chipfit.model import Model
from chipfit.targets import Board

GOALS: tuple[Aim, ...] = ("balanced", "size", "ram")
"""The goals that deploy tries, one after the other, until a program keeps to all limits."""


@dataclass(frozen=True)
class Limits:
    """What a program must keep to. Bytes and milliseconds; None: the board's memories, and any time."""

    flash: int | None = None
    ram: int | None = None
    milliseconds: float | None = None

    @property
    def options(self) -> list[str]:
        """The words of a command line that say the same."""
        words = ["--max-flash", f"{self.flash / 1024:g}"] if self.flash else []
        words += ["--max-ram", f"{self.ram / 1024:g}"] if self.ram else []
        return [*words, *(["--max-ms", f"{self.milliseconds:g}"] if self.milliseconds else [])]

    def exceeded(self, found: Needs) -> list[str]:
        """What is too much, in words."""
        said: list[str] = []
        for name, need, most in (("flash", found.flash, self.flash), ("RAM", found.ram, self.ram)):
            if most is not None and need > most:
                said.append(f"{name} {need / 1024:,.1f} KiB of {most / 1024:,.1f} KiB")
        if self.milliseconds is not None and (found.milliseconds or 0.0) > self.milliseconds:
            said.append(f"{found.milliseconds:,.1f} ms of {self.milliseconds:,.1f} ms")
        return said


@dataclass(frozen=True)
class Needs:
    """Of one program: bytes of flash and RAM in all, stack included; instructions and estimated milliseconds of one
    run, None where it was not run; ``energy_mj``: of one run, estimated; None also where the board states no current.

    ``is_whole``: it was compiled; else these are constants alone, and arena, state and stack: it needs more.
    ``problem``: why it does not fit; empty: it does. ``constants``: of the flash, the model's numbers as stored.
    """

    board: str
    optimize: Aim
    rows: bool
    flash: int
    ram: int
    is_whole: bool
    instructions: int | None = None
    milliseconds: float | None = None
    problem: str = ""
    constants: int | None = None
    energy_mj: float | None = None

    @property
    def fits(self) -> bool:
        return not self.problem


def needs(
    model: Model, board: Board, optimize: Aim, limits: Limits, *, rows: bool = False, weights: Weights = "plain"
) -> Needs:
    """Compile a model for a board, run it there once on random input, and hold it against the limits.

    Raises ChipfitError O002 for a layer that the board's core has no kernel for.
    """
    with tempfile.TemporaryDirectory(prefix="chipfit-needs-") as folder:
        try:
            program = Path(folder) / "program"
            firmware = model.compile(board, program, optimize=optimize, input_rows=rows, weights=weights)
        except ChipfitError as error:
            if error.code != "M001":
                raise
            return _planned(model, board, optimize, rows, weights, error)
        report = firmware.report
        instructions = milliseconds = energy = None
        try:
            run = firmware.run(model.samples(1))
            instructions, milliseconds, energy = run.instructions, run.milliseconds, run.energy_mj
        except ChipfitError as error:
            if error.code != "T001":
                raise
    flash, ram = report.flash.total or report.flash.weights, report.ram.total or report.ram.arena
    found = Needs(
        board.name, optimize, rows, flash, ram, True, instructions, milliseconds, constants=report.flash.weights,
        energy_mj=energy,
    )  # fmt: skip
    return replace(found, problem="; ".join(limits.exceeded(found)))


def _planned(model: Model, board: Board, optimize: Aim, rows: bool, weights: Weights, error: ChipfitError) -> Needs:
    stack = board.stack_bytes
    program = lower_for(model.graph, board, optimize, input_rows=rows, weights=weights, stack_bytes=stack)
    flash = sum(c.data.nbytes for c in program.constants)
    ram = sum(ram_needs([program], board, board.stack_bytes).values())
    return Needs(board.name, optimize, rows, flash, ram, is_whole=False, problem=error.message.partition(": ")[2])


def first_that_fits(
    model: Model,
    board: Board,
    goals: Sequence[Aim],
    limits: Limits,
    *,
    rows: bool = False,
    weights: Weights = "plain",
    until: float | None = None,
) -> list[Needs]:
    """What each goal needs, up to the first that fits: the last one does, or none. Of weights that are too many by
    themselves, the first goal alone. ``until``: time (monotonic); a goal that would take longer, if it takes as long
    as the one before, is not tried."""
    too_many = weights == "plain" and weight_bytes(model) > (limits.flash or flash_bytes(board))
    tried: list[Needs] = []
    for goal in goals[:1] if too_many else goals:
        started = time.monotonic()
        tried.append(needs(model, board, goal, limits, rows=rows, weights=weights))
        now = time.monotonic()
        if tried[-1].fits or (until is not None and now + (now - started) > until):
            break
    return tried


def nearest(tried: Sequence[Needs]) -> Needs:
    """Of what :func:`first_that_fits` tried: the last one, if it fits; else the one that needs least RAM."""
    return tried[-1] if tried[-1].fits else min(tried, key=lambda n: (n.ram, n.flash))


def weight_bytes(model: Model) -> int:
    """Bytes of all constants as the model stores them: no goal has less, unless they are compressed."""
    return sum({v: v.type.nbytes for n in model.graph.nodes for v in n.operands if v.is_const}.values())


def flash_bytes(board: Board) -> int:
    return sum(memory.size for memory in board.memories if memory.kind == "flash")
