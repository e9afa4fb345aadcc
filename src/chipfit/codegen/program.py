"""A program: what the C text of a model states. Kernels chosen, calls with all their arguments, constants, memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from chipfit.codegen.choose import RowCalls
from chipfit.codegen.compress import Packing
from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Node, Value
from chipfit.ops import Call, Choice, Const, Port, op_of
from chipfit.ops._copies import port_value
from chipfit.ops._flash import QUALIFIER, flash_arguments
from chipfit.plan import MemoryPlan


@dataclass(frozen=True)
class ConstArray:
    """A constant in flash. ``role``: ``weights`` (the model's numbers) or ``table`` (what kernels need besides).

    ``memory``: the flash that it is sent to; None: that of the program. ``in_flash``: it lies in flash as a space of
    its own, which ordinary loads do not read.
    """

    symbol: str
    data: Array
    role: str
    memory: str | None = None
    in_flash: bool = False

    @property
    def space(self) -> str:
        """C text in front of its name, for the space that it lies in."""
        return f"{QUALIFIER} " if self.in_flash else ""


Symbols = dict[tuple[str, bytes, bool], str]
"""Names of constants by element type, bytes, and whether they lie in a flash of its own."""


@dataclass(frozen=True)
class Step:
    """One layer: a C function that calls one kernel, once or several times; or, with ``rows``, for one row.

    ``body``: the program that a loop runs for each step. ``packing``: how its weights are stored, if not as the kernel
    reads them.
    """

    function: str
    node: Node
    choice: Choice
    calls: tuple[Call, ...]
    rows: RowCalls | None = None
    body: Program | None = None
    packing: Packing | None = None

    @property
    def is_sums(self) -> bool:
        """Whether rows are added up: its output is made at the end."""
        return self.rows is not None and op_of(self.node).row_sums(self.node) is not None

    @property
    def kernel_names(self) -> list[str]:
        """The C functions that it calls."""
        if self.body is not None:
            return [name for step in self.body.steps for name in step.kernel_names]
        sums = op_of(self.node).row_sums(self.node) if self.is_sums else None
        if sums is not None:
            return [sums.add[0], sums.finish[0]]
        return list(dict.fromkeys([self.choice.kernel.name, *(name for name, _ in self.named_calls)]))

    @property
    def named_calls(self) -> list[tuple[str, Call]]:
        """All calls, with the C function that each one calls."""
        if self.is_sums:
            return list(zip(self.kernel_names, self.all_calls, strict=True))
        return [(call.function or self.choice.kernel.name, call) for call in self.all_calls]

    @property
    def all_calls(self) -> tuple[Call, ...]:
        return self.calls if self.rows is None else self.rows.variants


@dataclass(frozen=True)
class MemoryBlock:
    """A block of RAM that a program is given: the part of the arena in one memory, then variables; in bytes.

    ``memory``: where it belongs on the board; None: anywhere.
    """

    memory: str | None
    arena: int
    state: int

    @property
    def bytes(self) -> int:
        return self.arena + self.state


@dataclass
class Program:
    """All that the C text states.

    ``has_state_apart``: variables have a block of their own, since the arena belongs to several programs. ``home``: the
    RAM that variables go to by themselves. ``has_flash_apart``: ordinary loads do not read flash; constants lie there
    for kernels that read it otherwise, and in RAM for all others.
    """

    name: str
    graph: Graph
    steps: list[Step]
    plan: MemoryPlan
    constants: list[ConstArray] = field(default_factory=list[ConstArray])
    has_state_apart: bool = False
    home: str | None = None
    has_flash_apart: bool = False
    _symbols: Symbols = field(default_factory=Symbols)

    def flash_arguments(self, kernel: str) -> frozenset[int]:
        """The arguments of a kernel that point into flash, where that is a space of its own."""
        return flash_arguments(kernel) if self.has_flash_apart else frozenset()

    def constant(self, data: Array, role: str, *, in_flash: bool = False) -> str:
        """The symbol of a constant; equal constants are stored once in each space."""
        key = (data.dtype.name, data.tobytes(), in_flash)
        if key not in self._symbols:
            symbol = f"{self.name}_{'w' if role == 'weights' else 't'}{len(self.constants)}"
            self._symbols[key] = symbol
            self.constants.append(ConstArray(symbol, data, role, in_flash=in_flash))
        return self._symbols[key]

    def take_in(self, body: Program) -> None:
        """Let a program inside of this one have its constants here."""
        body.constants, body._symbols = self.constants, self._symbols
        collect_constants(body, inside=True)

    def share_constants(self, known: Symbols) -> None:
        """Take the symbols of constants that another program has, and say which this one has."""
        for key, symbol in self._symbols.items():
            index = next(i for i, c in enumerate(self.constants) if c.symbol == symbol)
            self._symbols[key] = known.setdefault(key, symbol)
            self.constants[index] = replace(self.constants[index], symbol=self._symbols[key])

    def bytes_of(self, role: str) -> int:
        return sum(c.data.nbytes for c in self.constants if c.role == role)

    @property
    def memory_bytes(self) -> int:
        """What ``init`` needs: arena, then state."""
        return self.plan.arena_bytes + self.plan.state_bytes

    @property
    def blocks(self) -> list[MemoryBlock]:
        """The blocks of RAM that ``init`` needs."""
        plan = self.plan
        state = 0 if self.has_state_apart else plan.state_bytes
        blocks = [
            MemoryBlock(region.memory, region.bytes, state if i == plan.state_region else 0)
            for i, region in enumerate(plan.regions)
        ]
        if self.has_state_apart and plan.state_bytes:
            blocks.append(MemoryBlock(plan.regions[plan.state_region].memory, 0, plan.state_bytes))
        return blocks

    @property
    def memory_parameter(self) -> str:
        """How a C function takes the address of the block, or those of all blocks."""
        return "uint8_t *memory" if len(self.blocks) == 1 else "uint8_t *const *memory"

    def address(self, offset: int, memory: str = "memory", suffix: str = "") -> str:
        """C expression for a byte of the plan; ``memory``: the block's address, or the array of them."""
        block, at = self._place(offset)
        return f"{memory}{f'[{block}]' if len(self.blocks) > 1 else ''} + {at}{suffix}"

    def _place(self, offset: int) -> tuple[int, int]:
        """A byte of the plan (variables follow the arena) as block and byte in it."""
        regions = self.plan.regions
        if offset >= self.plan.arena_bytes and self.plan.state_bytes:
            at = offset - self.plan.arena_bytes
            if self.has_state_apart:
                return len(regions), at
            return self.plan.state_region, regions[self.plan.state_region].bytes + at
        index = next((i for i, region in enumerate(regions) if offset in region), len(regions) - 1)
        return index, offset - regions[index].begin


def collect_constants(program: Program, *, inside: bool) -> None:
    """Give every constant that a call points at its symbol.

    ``inside``: the program is the body of a loop, which copies outputs that are constants. Elsewhere they are O002.
    """
    for step in program.steps:
        if step.body is not None:
            program.take_in(step.body)
        for value in step.node.operands:
            if not value.is_const:
                continue
            for in_flash in sorted(_spaces(program, step, value)):
                program.constant(value.array, "weights", in_flash=in_flash)
            if step.body is not None and not is_uniform(value.array):
                program.constant(value.array, "weights")
        for kernel, call in step.named_calls:
            in_flash = program.flash_arguments(kernel)
            for i, arg in enumerate(call.args):
                if isinstance(arg, Const):
                    program.constant(arg.data, arg.role, in_flash=i in in_flash)
    for value in program.graph.outputs:
        if value.is_const and inside:
            program.constant(value.array, "weights")
        elif value.is_const:
            raise ChipfitError(
                "O002",
                f"graph output '{value.name}' does not depend on any input",
                "remove it from the model: its value is always the same",
            )


def _spaces(program: Program, step: Step, value: Value) -> set[bool]:
    """Whether calls read this operand from flash as a space of its own; empty where none points at it at all.

    Kernels that bring re-packed weights do not.
    """
    found: set[bool] = set()
    for kernel, call in step.named_calls:
        in_flash = program.flash_arguments(kernel)
        for i, arg in enumerate(call.args):
            if isinstance(arg, Port) and port_value(step.node, arg) is value:
                found.add(i in in_flash)
    return found


def is_uniform(data: Array) -> bool:
    """Whether all bytes of an array are the same, so that it needs not be stored."""
    raw = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
    return bool(raw.size == 0 or (raw == raw[0]).all())
