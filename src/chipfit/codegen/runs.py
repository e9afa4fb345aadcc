"""C text of a run of layers computed row by row: its program of moves, and the loop that carries it out."""

from __future__ import annotations

from dataclasses import dataclass

from chipfit.codegen.layers import row_arguments
from chipfit.codegen.places import memory_offset
from chipfit.codegen.program import Program, Step
from chipfit.graph import Node, Value
from chipfit.ops import Rows, op_of
from chipfit.ops._flash import QUALIFIER
from chipfit.plan import Move, RowProgram, Unit, Window
from chipfit.plan.rows import row_bytes, sums_of

_PER_LINE = 40


@dataclass(frozen=True, eq=False)
class Run:
    """A run in a program. ``number``: of the step in the plan."""

    program: Program
    unit: Unit
    number: int

    @property
    def name(self) -> str:
        return f"{self.program.name}_rows_{self.number}"

    @property
    def rows(self) -> RowProgram:
        assert self.unit.rows is not None
        return self.unit.rows

    @property
    def takes_rows(self) -> bool:
        """Whether the caller delivers its input row by row: then it stops and goes on."""
        return bool(self.rows.delivered)

    def step(self, node: Node) -> Step:
        return next(s for s in self.program.steps if s.node is node)

    def at(self, window: Window, memory: str = "memory") -> str:
        """C expression of where a window begins."""
        return self.program.address(self.program.plan.offsets[window.value], memory)


def runs_of(program: Program) -> dict[int, Run]:
    """The runs of a program by their step in the plan."""
    return {i: Run(program, unit, i) for i, unit in enumerate(program.plan.units) if unit.rows is not None}


def run_text(run: Run) -> str:
    """The type of its state, its moves, and the function that carries them out.

    The function goes on to the end; where the caller delivers rows, to the next move that needs one.
    """
    codes = _codes(run.rows)
    moves = [codes[_action(move)] for move in run.rows.moves]
    lines = [", ".join(map(str, moves[i : i + _PER_LINE])) for i in range(0, len(moves), _PER_LINE)]
    kind = "uint8_t" if len(codes) <= 256 else "uint16_t"
    cases = "".join(f"        case {code}: {_case(run, action)}\n" for action, code in codes.items())
    table = ",\n    ".join(lines)
    space = f"{QUALIFIER} " if run.program.has_flash_apart else ""
    first, last = run.unit.nodes[0], run.unit.nodes[-1]
    return (
        f"/* row by row: {first.op.name} to {last.op.name}, {len(run.unit.nodes)} layers */\n"
        f"static const {kind} {space}{run.name}_moves[{len(moves)}] = {{\n    {table}\n}};\n\n"
        f"CF_LAYER void {run.name}({run.program.memory_parameter}, {run.name}_state *s)\n{{\n"
        f"    for (; s->move < {len(moves)}u; s->move++) {{\n"
        f"        switch ({run.name}_moves[s->move]) {{\n{cases}        default: break;\n        }}\n    }}\n}}\n"
    )


def state_type(run: Run) -> str:
    """The C type of what a run remembers between moves."""
    windows = f"    cf_rows w[{len(run.rows.windows)}];\n" if run.rows.windows else ""
    return (
        f"typedef struct {{\n    uint16_t move; /* the next one */\n    int16_t row; /* of the last layer */\n"
        f"{windows}}} {run.name}_state;\n"
    )


def start_text(run: Run, state: str, indent: str) -> str:
    """C statements that begin a run: nothing in the windows, sums of 0."""
    lines = [f"{state}move = 0;", f"{state}row = 0;"]
    lines += [
        f"{state}w[{i}].first = {state}w[{i}].next = {window.first};" for i, window in enumerate(run.rows.windows)
    ]
    if run.rows.moves[-1].kind == "finish":
        node = run.unit.nodes[-1]
        sums = sums_of(node)
        assert sums is not None
        lines.append(f"memset({run.program.address(run.program.plan.sums_offsets[node])}, 0, {sums.nbytes});")
    return "".join(f"{indent}{line}\n" for line in lines)


def layer_text(run: Run) -> str:
    """A function that carries out a whole run at once."""
    return (
        f"CF_LAYER void {run.name}_all({run.program.memory_parameter})\n{{\n    {run.name}_state state, *s = &state;\n"
        f"{start_text(run, 's->', '    ')}    {run.name}(memory, s);\n}}\n"
    )


# ---------------------------------------------------------------------------------------------- moves

Action = tuple[str, int, int]
"""What a move does, whatever the row: kind, index, and the number of rows that are dropped."""


def _action(move: Move) -> Action:
    return move.kind, move.index, move.row if move.kind == "drop" else 0


def _codes(rows: RowProgram) -> dict[Action, int]:
    """A number for each different action."""
    return {action: i for i, action in enumerate(dict.fromkeys(_action(m) for m in rows.moves))}


def _case(run: Run, action: Action) -> str:
    kind, index, count = action
    if kind in ("row", "sum", "finish"):
        return _layer_case(run, run.rows.nodes[index], kind)
    window = run.rows.windows[index]
    at, size, w = run.at(window), window.row_bytes, f"s->w[{index}]"
    if kind == "fill":
        zero = window.value.q.zp & 0xFF if window.value.type.quant is not None else 0
        return f"cf_rows_fill({at}, &{w}, {zero}, {size}); break;"
    if kind == "drop":
        return f"cf_rows_drop({at}, &{w}, {count}, {size}); break;"
    return "return; /* the caller puts the row there, then goes on */"


def _layer_case(run: Run, node: Node, kind: str) -> str:
    step = run.step(node)
    if kind == "finish":
        return f"{step.function}_finish(memory); break;"
    output = node.outputs[0]
    made = run.rows.window_of.get(output)
    row = "s->row" if made is None else f"s->w[{made}].next"
    addresses = [_address(run, node, value, row) for value in row_arguments(step)]
    if step.rows is not None and len(set(step.rows.which)) > 1:
        addresses.append(_variant(step.rows.which, row))
    return f"{step.function}({', '.join(['memory', *addresses])}); {row}++; break;"


def _address(run: Run, node: Node, value: Value, row: str) -> str:
    """Where the rows of an operand begin that an output row needs, or where the output row goes."""
    size = row_bytes(value)
    where = row if value is node.outputs[0] else _first_row(node, row, node in run.rows.padded)
    window = run.rows.window_of.get(value)
    if window is not None:
        return f"cf_rows_at({run.at(run.rows.windows[window])}, s->w[{window}], {where}, {size})"
    return f"{run.program.address(memory_offset(run.program, value))} + {where} * {size}"


def _first_row(node: Node, row: str, padded: bool) -> str:
    rows = op_of(node).rows(node)
    if not isinstance(rows, Rows) or (rows.stride, rows.pad) == (1, 0):
        return row
    first = row if rows.stride == 1 else f"{row} * {rows.stride}"
    if rows.pad == 0:
        return f"({first})"
    top = f"({first} - {rows.pad})"
    return top if padded else f"({first} < {rows.pad} ? 0 : {first} - {rows.pad})"


def _variant(which: tuple[int, ...], row: str) -> str:
    """The variant of a row as a C expression: they come in few stretches."""
    ends = [i for i in range(1, len(which)) if which[i] != which[i - 1]]
    text = str(which[-1])
    for end in reversed(ends):
        text = f"{row} < {end} ? {which[end - 1]} : {text}"
    return text
