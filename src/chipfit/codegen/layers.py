"""One C function per layer. Calls that differ in nothing but their pointers share one body."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from chipfit.codegen import ctext
from chipfit.codegen.lower import Program, Step, operand, scratch_sizes
from chipfit.ops import Arg, Const, Function, Port, State

Key = tuple[str, str, tuple[str, ...]]

_POINTERS = ("void", "const void")


@dataclass(frozen=True)
class _Line:
    """A kernel call as text.

    ``struct``, ``fields``: type and initialiser of its parameters. ``args``: C expressions of its pointers; ``kinds``:
    how a shared body declares them.
    """

    kernel: str
    struct: str
    fields: str
    args: tuple[str, ...]
    kinds: tuple[str, ...]

    @property
    def key(self) -> Key:
        """What two calls must have in common to share a body."""
        return self.kernel, self.fields, self.kinds


def layer_functions(program: Program) -> list[str]:
    """C text: bodies that several layers share, then a function of the memory's address for each layer."""
    lines = [_lines(program, step, i) for i, step in enumerate(program.steps)]
    counts = Counter(line.key for step in lines for line in step)
    shared: dict[Key, str] = {}
    text: list[str] = []
    for line in (line for step in lines for line in step):
        if counts[line.key] > 1 and line.fields and line.key not in shared:
            shared[line.key] = f"{program.name}_shared_{len(shared)}"
            text.append(_shared_body(shared[line.key], line))
    return text + [_layer(step, i, lines[i], shared) for i, step in enumerate(program.steps)]


def _shared_body(name: str, line: _Line) -> str:
    named = [(kind, f"p{i}") for i, kind in enumerate(line.kinds) if kind in _POINTERS]
    args = [f"p{i}" if kind in _POINTERS else kind for i, kind in enumerate(line.kinds)]
    declared = ", ".join(f"{kind} *{arg}" for kind, arg in named)
    return f"CF_LAYER void {name}({declared})\n{{\n{_statement(line, args, 0)}}}\n"


def _layer(step: Step, index: int, lines: list[_Line], shared: dict[Key, str]) -> str:
    node = step.node
    inputs = ", ".join(str(v.type) for v in node.operands if not v.is_const)
    body = ""
    for i, line in enumerate(lines):
        if line.key in shared:
            args = [arg for arg, kind in zip(line.args, line.kinds, strict=True) if kind in _POINTERS]
            body += f"    {shared[line.key]}({', '.join(args)});\n"
        else:
            body += _statement(line, list(line.args), i)
    return (
        f"/* {index}: {node.op.name} '{ctext.comment(node.name)}', {inputs} -> "
        f"{', '.join(str(v.type) for v in node.outputs)}: {step.choice.kernel.name} */\n"
        f"CF_LAYER void {step.function}(uint8_t *memory)\n{{\n{body}}}\n"
    )


def _statement(line: _Line, args: list[str], index: int) -> str:
    if not line.fields:
        return f"    {line.kernel}({', '.join(args)});\n"
    return (
        f"    static const {line.struct} params{index} = {line.fields};\n"
        f"    {line.kernel}({', '.join(args)}, &params{index});\n"
    )


def _lines(program: Program, step: Step, index: int) -> list[_Line]:
    kernel, scratch = step.choice.kernel.name, _scratch_offsets(program, step, index)
    lines: list[_Line] = []
    for call in step.calls:
        pairs = [_argument(program, step, arg, scratch) for arg in call.args]
        args, kinds = tuple(text for text, _ in pairs), tuple(kind for _, kind in pairs)
        fields = f"{{\n        {ctext.struct_fields(dict(call.params), ' ' * 8)}}}" if call.params else ""
        lines.append(_Line(kernel, call.struct or f"{kernel}_params", fields, args, kinds))
    return lines


def _scratch_offsets(program: Program, step: Step, index: int) -> list[int]:
    """Arena offsets of the step's scratch arguments in order."""
    offsets: list[int] = []
    at = program.plan.scratch_offsets.get(index, 0)
    for size in scratch_sizes(step.calls):
        offsets.append(at)
        at += size
    return offsets


def state_offset(program: Program, variable: str) -> int:
    """Where a variable lies in the model's memory: state follows the arena."""
    return program.plan.arena_bytes + program.plan.state_offsets[variable]


def _argument(program: Program, step: Step, arg: Arg, scratch: list[int]) -> tuple[str, str]:
    """The C expression of one argument, and its kind: what it points at, or, of a fixed one, the expression again.

    ``scratch``: offsets of the step's scratch, taken in order.
    """
    if isinstance(arg, Const):
        return program.constant(arg.data, arg.role), "const void"
    if isinstance(arg, Function):
        return arg.name, arg.name
    if isinstance(arg, State):
        return f"(void *)(memory + {state_offset(program, arg.variable)})", "void"
    if isinstance(arg, Port):
        value = operand(step.node, arg.name, arg.index)
        if value is None:
            return "NULL", "NULL"
        if value.is_const:
            symbol = program.constant(value.array, "weights")
            text = symbol if not arg.offset else f"(const void *)((const uint8_t *){symbol} + {arg.offset})"
            return text, "const void"
        return f"(void *)(memory + {program.plan.offsets[value] + arg.offset})", "void"
    return f"(void *)(memory + {scratch.pop(0)})", "void"
