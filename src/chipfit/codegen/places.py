"""Where tensors and variables lie in the memory of a program."""

from __future__ import annotations

from chipfit.codegen.program import Program
from chipfit.graph import Value
from chipfit.plan import location


def state_offset(program: Program, variable: str) -> int:
    """Where a variable lies in the model's memory: state follows the arena."""
    return program.plan.arena_bytes + program.plan.state_offsets[variable]


def memory_offset(program: Program, value: Value) -> int:
    """Where a tensor lies in the model's memory: in the arena, or in a variable's storage."""
    view = location(program.plan.views, value)
    if isinstance(view.root, str):
        return state_offset(program, view.root) + view.offset
    return program.plan.offsets[value]
