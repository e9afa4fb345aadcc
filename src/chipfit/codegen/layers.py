"""One C function per layer. Calls that differ in nothing but their pointers share one body."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import groupby
from textwrap import indent

import numpy as np

from chipfit.codegen import ctext
from chipfit.codegen.choose import scratch_arguments, scratch_sizes
from chipfit.codegen.loops import loop_text
from chipfit.codegen.places import memory_offset, state_offset
from chipfit.codegen.program import Program, Step
from chipfit.graph import Value
from chipfit.ops import Accumulator, Arg, Call, Const, Function, Port, State
from chipfit.ops._copies import port_value
from chipfit.ops._flash import QUALIFIER

Key = tuple[str, str, tuple[str, ...]]

_IN_FLASH = f"const void {QUALIFIER}"
_POINTERS = ("void", "const void", _IN_FLASH)


@dataclass(frozen=True)
class _Line:
    """A kernel call as text.

    ``struct``, ``fields``: type and initialiser of its parameters. ``args``: C expressions of its pointers; ``kinds``:
    how a shared body declares them. ``turns``: how often, together with its neighbours of as many.
    """

    kernel: str
    struct: str
    fields: str
    args: tuple[str, ...]
    kinds: tuple[str, ...]
    turns: int = 1

    @property
    def key(self) -> Key:
        """What two calls must have in common to share a body."""
        return self.kernel, self.fields, self.kinds


def layer_functions(program: Program) -> list[str]:
    """C text: bodies that several layers share, then a function for each layer, of the memory's address; or, where it
    is computed row by row, of the addresses of its rows, too (see :mod:`chipfit.codegen.runs`)."""
    lines = [[] if step.rows else _lines(program, step) for step in program.steps]
    counts = Counter(line.key for step in lines for line in step)
    shared: dict[Key, str] = {}
    text: list[str] = []
    for line in (line for step in lines for line in step):
        if counts[line.key] > 1 and line.fields and line.key not in shared:
            shared[line.key] = f"{program.name}_shared_{len(shared)}"
            text.append(_shared_body(shared[line.key], line))
    for i, step in enumerate(program.steps):
        if step.body is not None:
            text += [*layer_functions(step.body), _title(step, i) + loop_text(program, step)]
        elif step.rows:
            text.append(_row_layer(program, step, i))
        else:
            text.append(_layer(program, step, i, lines[i], shared))
    return text


def _shared_body(name: str, line: _Line) -> str:
    named = [(kind, f"p{i}") for i, kind in enumerate(line.kinds) if kind in _POINTERS]
    args = [f"p{i}" if kind in _POINTERS else kind for i, kind in enumerate(line.kinds)]
    declared = ", ".join(f"{kind} *{arg}" for kind, arg in named)
    return f"CF_LAYER void {name}({declared})\n{{\n{_statement(line, args, 0)}}}\n"


def _layer(program: Program, step: Step, index: int, lines: list[_Line], shared: dict[Key, str]) -> str:
    body = ""
    for turns, group in groupby(enumerate(lines), key=lambda numbered: numbered[1].turns):
        text = "".join(_layer_statement(line, i, shared) for i, line in group)
        if turns > 1:
            text = f"    CF_ROLLED\n    for (int32_t i = 0; i < {turns}; i++) {{\n{indent(text, '    ')}    }}\n"
        body += text
    return f"{_title(step, index)}CF_LAYER void {step.function}({program.memory_parameter})\n{{\n{body}}}\n"


def _layer_statement(line: _Line, index: int, shared: dict[Key, str]) -> str:
    if line.key not in shared:
        return _statement(line, list(line.args), index)
    args = [arg for arg, kind in zip(line.args, line.kinds, strict=True) if kind in _POINTERS]
    return f"    {shared[line.key]}({', '.join(args)});\n"


def _title(step: Step, index: int) -> str:
    node = step.node
    inputs = ", ".join(str(v.type) for v in node.operands if not v.is_const)
    return (
        f"/* {index}: {node.op.name} '{ctext.comment(node.name)}', {inputs} -> "
        f"{', '.join(str(v.type) for v in node.outputs)}: {step.choice.kernel.title} */\n"
    )


def _statement(line: _Line, given: list[str] | None, index: int) -> str:
    args = list(line.args) if given is None else given
    if not line.fields:
        return f"    {line.kernel}({', '.join(args)});\n"
    return (
        f"    static const {line.struct} params{index} = {line.fields};\n"
        f"    {line.kernel}({', '.join(args)}, &params{index});\n"
    )


def _lines(program: Program, step: Step) -> list[_Line]:
    scratch = _scratch_offsets(program, step)
    return [_line(program, step, name, call, _Places(program, step, scratch)) for name, call in step.named_calls]


def _line(program: Program, step: Step, kernel: str, call: Call, places: _Places) -> _Line:
    in_flash = program.flash_arguments(kernel)
    pairs = [places.argument(arg, i in in_flash) for i, arg in enumerate(call.args)]
    args, kinds = tuple(text for text, _ in pairs), tuple(kind for _, kind in pairs)
    fields = f"{{\n        {ctext.struct_fields(dict(call.params), ' ' * 8)}}}" if call.params else ""
    return _Line(kernel, call.struct or f"{kernel}_params", fields, args, kinds, call.turns)


def _scratch_offsets(program: Program, step: Step) -> list[int]:
    """Arena offsets of the step's scratch arguments in order."""
    offsets: dict[Hashable, int] = {}
    at = program.plan.scratch_offsets.get(step.node, 0)
    for key, size in scratch_sizes(step.calls).items():
        offsets[key] = at
        at += size
    return [offsets[key] for key, _ in scratch_arguments(step.calls)]


@dataclass
class _Places:
    """C expressions of a step's arguments. ``scratch``: offsets of its scratch, taken in order. ``rows``: what stands
    for tensors of which the call gets a row."""

    program: Program
    step: Step
    scratch: list[int]
    rows: dict[Value, str] = field(default_factory=dict[Value, str])

    def argument(self, arg: Arg, in_flash: bool = False) -> tuple[str, str]:
        """The expression, and its kind: what it points at, or, of a fixed one, the expression again.

        ``in_flash``: it points into flash as a space of its own.
        """
        constant = _IN_FLASH if in_flash else "const void"
        if isinstance(arg, Const):
            symbol = self.program.constant(arg.data, arg.role, in_flash=in_flash)
            return f"(const void *)((const uint8_t *){symbol}{_moved(arg)})" if arg.step else symbol, constant
        if isinstance(arg, Function):
            return arg.name, arg.name
        if isinstance(arg, State):
            return f"(void *)({self.program.address(state_offset(self.program, arg.variable))})", "void"
        if isinstance(arg, Accumulator):
            return f"(void *)({self.program.address(self.program.plan.sums_offsets[self.step.node])})", "void"
        if isinstance(arg, Port):
            return self._port(arg, in_flash)
        return f"(void *)({self.program.address(self.scratch.pop(0))})", "void"

    def _port(self, arg: Port, in_flash: bool) -> tuple[str, str]:
        value = port_value(self.step.node, arg)
        if value is None:
            return "NULL", "NULL"
        if value in self.rows:
            return f"(void *){self.rows[value]}", "void"
        if value.is_const:
            symbol = self.program.constant(value.array, "weights", in_flash=in_flash)
            space = f"{QUALIFIER} " if in_flash else ""
            text = f"(const void {space}*)((const uint8_t {space}*){symbol} + {arg.offset})" if arg.offset else symbol
            return text, _IN_FLASH if in_flash else "const void"
        return f"(void *)({self.program.address(memory_offset(self.program, value) + arg.offset)}{_moved(arg)})", "void"


def _moved(arg: Port | Const) -> str:
    """How much further an argument begins in each turn ``i``."""
    return f" + i * {arg.step}" if arg.step else ""


# ---------------------------------------------------------------------------------------------- one row


def row_arguments(step: Step) -> list[Value]:
    """The tensors of which a row function gets the address of a row, in its order: operands, then the output."""
    operands = [v for v in dict.fromkeys(step.node.operands) if not v.is_const]
    return operands if step.is_sums else [*operands, step.node.outputs[0]]


def _row_layer(program: Program, step: Step, index: int) -> str:
    """A function that computes a row; for a node of sums, one that adds a row and one that finishes."""
    assert step.rows is not None
    names = {value: f"r{i}" for i, value in enumerate(row_arguments(step))}
    declared = ", ".join([program.memory_parameter, *(f"void *{name}" for name in names.values())])
    if not step.is_sums:
        body, variant = _row_body(program, step, names)
        extra = ", int32_t variant" if variant else ""
        return f"{_title(step, index)}CF_LAYER void {step.function}({declared}{extra})\n{{\n{body}}}\n"
    add, finish = step.rows.variants
    kernels = step.kernel_names
    first = _statement(_line(program, step, kernels[0], add, _Places(program, step, [], names)), None, 0)
    last = _statement(_line(program, step, kernels[1], finish, _Places(program, step, [])), None, 0)
    return (
        f"{_title(step, index)}CF_LAYER void {step.function}({declared})\n{{\n{first}}}\n\n"
        f"CF_LAYER void {step.function}_finish({program.memory_parameter})\n{{\n{last}}}\n"
    )


def _row_body(program: Program, step: Step, names: dict[Value, str]) -> tuple[str, bool]:
    """The call with parameters of which those are looked up that differ between rows; whether any do."""
    assert step.rows is not None
    variants = step.rows.variants
    at = program.plan.scratch_offsets.get(step.node, 0)
    sizes = max((list(scratch_sizes([v]).values()) for v in variants), key=sum)
    scratch = [at + sum(sizes[:i]) for i in range(len(sizes))]
    line = _line(program, step, step.choice.kernel.name, variants[0], _Places(program, step, scratch, names))
    differing = [name for name in variants[0].params if len({v.params[name] for v in variants}) > 1]
    if not differing:
        return "    (void)memory;\n" + _statement(line, None, 0), False
    values = [[_int(v.params[name]) for name in differing] for v in variants]
    fields = ctext.struct_fields(
        {n: f"of[variant][{differing.index(n)}]" if n in differing else v for n, v in variants[0].params.items()},
        " " * 8,
    )
    return (
        "    (void)memory;\n"
        f"    {_table(program, values)}"
        f"    const {line.struct} params = {{\n        {fields}}};\n"
        f"    {line.kernel}({', '.join(line.args)}, &params);\n"
    ), True


def _table(program: Program, rows: list[list[int]]) -> str:
    """C statement that declares ``of``, a table of numbers. In a space of its own it is a constant of the program's."""
    if program.has_flash_apart:
        symbol = program.constant(np.array(rows, np.int16), "table", in_flash=True)
        kind = f"const int16_t {QUALIFIER}"
        return f"{kind} (*of)[{len(rows[0])}] = ({kind} (*)[{len(rows[0])}]){symbol};\n"
    text = ", ".join("{" + ", ".join(map(ctext.number, row)) + "}" for row in rows)
    return f"static const int32_t of[{len(rows)}][{len(rows[0])}] = {{{text}}};\n"


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"only numbers may differ between rows, not {value}")
    return value
