"""Machine code as what the cycle model needs of it: the kind of each instruction and the registers it touches.

Capstone disassembles; the kind and the registers are read from its text, which is the same for all its versions and
more reliable than its lists of registers read and written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

import capstone

from chipfit.targets import Core

Kind = Literal[
    "plain",
    "load",
    "store",
    "load_multiple",
    "store_multiple",
    "multiply",
    "multiply_add",
    "multiply_long",
    "divide",
    "float_op",
    "float_multiply_add",
    "float_divide",
    "branch",  # conditional, target in the instruction
    "jump",
    "call",
    "jump_register",
    "unknown",
]

MEMORY: frozenset[Kind] = frozenset({"load", "store", "load_multiple", "store_multiple"})
MULTIPLY: frozenset[Kind] = frozenset({"multiply", "multiply_add", "multiply_long"})
BRANCH: frozenset[Kind] = frozenset({"branch", "jump", "call", "jump_register"})
FLOAT: frozenset[Kind] = frozenset({"float_op", "float_multiply_add", "float_divide"})

_CONDITION = "(eq|ne|[ch]s|cc|lo|mi|pl|v[sc]|hi|ls|ge|lt|gt|le|al)"
# The first pattern that fits the whole mnemonic decides; a condition (in an IT block) may follow any of them.
_ARM: tuple[tuple[Kind, str], ...] = (
    ("load_multiple", r"(v?ldm|v?pop|ldrd).*"),
    ("store_multiple", r"(v?stm|v?push|strd).*"),
    ("load", r"v?ldr.*"),
    ("store", r"(v?str).*"),
    ("jump", r"b"),
    ("branch", rf"b{_CONDITION}|cbn?z"),
    ("call", rf"bl{_CONDITION}?"),
    ("jump_register", rf"(blx|bx|tb[bh]){_CONDITION}?"),
    ("multiply_long", r"(umull|umlal|umaal|smull|smlal|smlsld).*"),
    ("multiply_add", rf"ml[as]{_CONDITION}?"),
    ("multiply", r"(mul|smul|smla|smls|smmul|smml|smua|smus).*"),
    ("divide", r"[us]div.*"),
    ("float_divide", r"v(div|sqrt).*"),
    ("float_multiply_add", r"v(mla|mls|fma|fms|nmla|nmls|fnma|fnms).*"),
    ("float_op", r"(v|fmstat).*"),
)
_RISCV: tuple[tuple[Kind, str], ...] = (
    ("load", r"f?l[bhwd]u?(sp)?|lr\..*"),
    ("store", r"f?s[bhwd](sp)?|sc\..*"),
    ("jump", r"j"),
    ("branch", r"b(eq|ne|lt|ge|ltu|geu|gt|le|gtu|leu)z?"),
    ("call", r"jal"),
    ("jump_register", r"jr|jalr|ret"),
    ("multiply_long", r"mulh(u|su)?"),
    ("multiply", r"mulw?"),
    ("divide", r"(div|rem)u?w?"),
    ("float_divide", r"f(div|sqrt)\..*"),
    ("float_multiply_add", r"fn?m(add|sub)\..*"),
    ("float_op", r"f(?!ence).*"),
)
_ARM_REGISTER = re.compile(r"\b(r\d+|s[bl]|fp|ip|sp|lr|pc|[sd]\d+)\b")
_RISCV_REGISTER = re.compile(r"\b(ra|sp|gp|tp|f?[tsa]\d+)\b")
_LIST = re.compile(r"\{(.*)\}")
_NARROW = re.compile(r"(ldrs?[bh]|f?l[bh]).*")
_NO_RESULT = re.compile(r"(cmp|cmn|tst|teq|vcmp).*")
_READS_FIRST = re.compile(r"(bfi|movt|vmla|vmls|vfma|vfms).*")


@dataclass(frozen=True)
class Op:
    """One instruction. ``writes`` and ``reads`` are registers, ``address`` those of them that make an address."""

    kind: Kind
    writes: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    address: frozenset[str] = frozenset()
    words: int = 0  # that a load or store of several registers moves
    is_narrow: bool = False  # a load of 8 or 16 bits

    @property
    def is_indexed(self) -> bool:
        """Whether the address has an index register."""
        return len(self.address) > 1

    @property
    def writes_pc(self) -> bool:
        return "pc" in self.writes


def disassemble(code: bytes, core: Core) -> list[Op]:
    """The instructions of a run of code, one Op for each; what capstone does not know is of the kind "unknown"."""
    result: list[Op] = []
    at = 0
    is_riscv = core.arch == "riscv"
    while at < len(code):
        for _, size, mnemonic, operands in _capstone(core.arch, core.bits).disasm_lite(code[at:], 0):
            result.append(_riscv_op(mnemonic, operands) if is_riscv else _arm_op(mnemonic, operands))
            at += size
        if at < len(code):
            is_long = (code[at] & 3) == 3 if is_riscv else code[at + 1] >> 3 >= 0x1D
            result.append(Op("unknown"))
            at += 4 if is_long else 2
    return result


@cache
def _capstone(arch: str, bits: int) -> capstone.Cs:
    if arch == "arm":
        mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
        return capstone.Cs(capstone.CS_ARCH_ARM, mode)
    width = capstone.CS_MODE_RISCV64 if bits == 64 else capstone.CS_MODE_RISCV32
    return capstone.Cs(capstone.CS_ARCH_RISCV, width | capstone.CS_MODE_RISCVC)


@cache
def _kind(arch: str, mnemonic: str) -> Kind:
    for kind, pattern in _RISCV if arch == "riscv" else _ARM:
        if re.fullmatch(pattern, mnemonic):
            return kind
    return "plain"


@cache
def _arm_op(mnemonic: str, operands: str) -> Op:
    name = mnemonic.split(".")[0]
    kind = _kind("arm", name)
    named = _ARM_REGISTER.findall(operands)
    if kind in ("load_multiple", "store_multiple"):
        return _arm_multiple(kind, operands, named)
    if kind in ("load", "store"):
        data, _, address = operands.partition("[")
        registers = frozenset(_ARM_REGISTER.findall(address))
        base = frozenset(named[1:2]) if "!" in operands or "]," in operands else frozenset[str]()
        moved = frozenset(_ARM_REGISTER.findall(data))
        if kind == "load":
            return Op(kind, moved | base, registers, registers, is_narrow=bool(_NARROW.fullmatch(name)))
        return Op(kind, base, registers | moved, registers)
    op = _compute(kind, name, named, operands.count(",") + 1, "pc")
    return Op("jump_register", op.writes, op.reads) if op.writes_pc and kind == "plain" else op


def _arm_multiple(kind: Kind, operands: str, named: list[str]) -> Op:
    """LDM, STM, PUSH and POP with a list of registers; LDRD and STRD with two and an address in brackets."""
    found = _LIST.search(operands)
    if found:
        moved = _ARM_REGISTER.findall(found[1])
        base = frozenset(named[: len(named) - len(moved)]) or frozenset({"sp"})
        moves_base = "!" in operands or "sp" in base
    else:
        moved = named[:2]
        base = frozenset(named[2:])
        moves_base = "!" in operands or "]," in operands
    words = sum(2 if register[0] == "d" else 1 for register in moved)
    written = base if moves_base else frozenset[str]()
    if kind == "load_multiple":
        return Op(kind, frozenset(moved) | written, base, base, words)
    return Op(kind, written, base | frozenset(moved), base, words)


@cache
def _riscv_op(mnemonic: str, operands: str) -> Op:
    name = mnemonic.removeprefix("c.")
    kind = _kind("riscv", name)
    named = _RISCV_REGISTER.findall(operands)
    if kind == "load":
        address = frozenset(named[1:])
        return Op(kind, frozenset(named[:1]), address, address, is_narrow=bool(_NARROW.fullmatch(name)))
    if kind == "store":
        return Op(kind, frozenset(), frozenset(named), frozenset(named[1:]))
    return _compute(kind, name, named, operands.count(",") + 1, "")


def _compute(kind: Kind, name: str, named: list[str], operands: int, link: str) -> Op:
    """An instruction without memory: its result is the first register named, unless it is a branch or a comparison."""
    if kind in BRANCH or _NO_RESULT.fullmatch(name):
        return Op(kind, frozenset(), frozenset(named) - {link})
    results = 2 if kind == "multiply_long" and operands > 3 else 1
    is_move = name.startswith(("mov", "mvn", "mv", "li", "lui", "auipc", "adr", "neg", "sxt", "uxt", "clz", "rev"))
    # Two operands, `adds r0, #1`: the first is read, too. So is that of an accumulation.
    reads_first = (operands == 2 and not is_move and kind != "float_op") or bool(_READS_FIRST.fullmatch(name))
    return Op(kind, frozenset(named[:results]), frozenset(named if reads_first else named[results:]))
