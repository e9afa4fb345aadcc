"""The byte code of NnilUnaryMethod: instructions of a stack machine, and whether a program is sound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from chipfit.kmodel.format.nodes import BinaryOp, UnaryOp

NOP, DUP, POP, ARGUMENT, ZERO, ONE, FLOAT, CLAMP, RETURN = 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x80, 0xA0
UNARY, BINARY = 0x20, 0x40
"""Added to a member of UnaryOp or BinaryOp."""
DEPTH = 64
"""Numbers on the stack, at most."""

_EFFECTS = {
    NOP: (0, 0),
    DUP: (1, 2),
    POP: (1, 0),
    ARGUMENT: (0, 1),
    ZERO: (0, 1),
    ONE: (0, 1),
    FLOAT: (0, 1),
    **{UNARY + op: (1, 1) for op in UnaryOp},
    **{BINARY + op: (2, 1) for op in BinaryOp},
    CLAMP: (3, 1),
    RETURN: (1, 0),
}
"""Numbers that an instruction takes from the stack, and that it leaves there."""


class Instruction(NamedTuple):
    """``operand``: the four bytes behind FLOAT."""

    op: int
    operand: bytes


def instructions(code: bytes) -> Iterator[Instruction]:
    """Up to the end or the first RETURN."""
    at = 0
    while at < len(code):
        size = 5 if code[at] == FLOAT else 1
        yield Instruction(code[at], code[at + 1 : at + size])
        if code[at] == RETURN:
            return
        at += size


def problem(code: bytes) -> str | None:
    """What is wrong with a program; None: nothing."""
    depth = 0
    for op, operand in instructions(code):
        if op not in _EFFECTS or len(operand) != (4 if op == FLOAT else 0):
            return f"instruction 0x{op:02x} does not exist"
        taken, given = _EFFECTS[op]
        if depth < taken:
            return f"instruction 0x{op:02x} takes {taken} numbers, but there are {depth}"
        depth += given - taken
        if depth > DEPTH:
            return f"its stack gets deeper than {DEPTH} numbers"
        if op == RETURN:
            return None
    return "it does not return"
