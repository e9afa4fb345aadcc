"""What ``chipfit op``, ``board``, ``doctor`` and ``explain`` say."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from chipfit.errors import ErrorCode
from chipfit.report.info import BoardInfo, BoardReport, Check, DoctorReport, KernelInfo, OpInfo, OpReport
from chipfit.report.text import (
    GAP,
    UNKNOWN,
    Column,
    blocks,
    command,
    facts,
    memory,
    next_step,
    paragraphs,
    plural,
    safe,
    table,
    title,
)

_MANY_TYPES = 4
_CHECK_WIDTH = 20


# ---------------------------------------------------------------------------------------------- operators


def ops_text(report: OpReport, width: int) -> RenderableType:
    """One line for each operator."""
    columns = [
        Column("operator"),
        Column("TensorFlow Lite"),
        Column("types", flexible=True, prose=True),
        Column("C kernels", flexible=True, prose=True, wide=110),
    ]
    rows = [
        (op.name, ", ".join(op.tflite), _names(op.dtypes), ", ".join(kernel.name for kernel in op.kernels))
        for op in report.ops
    ]
    return blocks(
        title(plural(len(report.ops), "operator")),
        table(columns, rows, width),
        next_step(command("op", "show", "conv2d")),
    )


def op_text(op: OpInfo) -> RenderableType:
    """All that is known of one operator."""
    attributes = [
        f"{name} ({default})" if default == "required" else f"{name} = {default}" for name, default in op.attributes
    ]
    pairs: list[tuple[str, RenderableType]] = [
        ("ports", f"{', '.join(op.inputs) or 'none'} -> {', '.join(op.outputs) or 'none'}"),
        ("attributes", ", ".join(attributes) or "none"),
        ("types", ", ".join(op.dtypes)),
    ]
    if op.is_view:
        pairs.append(("memory", "a view: the output is the memory of the input, and nothing runs"))
    kernels = facts([(kernel.name, _kernel(kernel)) for kernel in op.kernels])
    return blocks(
        title(op.name, ", ".join(op.tflite)),
        paragraphs(op.text),
        facts(pairs),
        Group(Text("C kernels, the preferred one first", style="dim"), kernels),
    )


def _kernel(kernel: KernelInfo) -> str:
    types = [a if a == b else f"{a} to {b}" for a, b in kernel.types]
    needs = f"; needs {', '.join(kernel.needs)}" if kernel.needs else ""
    return f"{_names(types) if types else 'any type'}{needs}{'; for some layers' if kernel.conditional else ''}"


def _names(names: list[str] | tuple[str, ...]) -> str:
    if len(names) <= _MANY_TYPES:
        return ", ".join(names)
    return f"{', '.join(names[:_MANY_TYPES])} and {len(names) - _MANY_TYPES} more"


# ---------------------------------------------------------------------------------------------- boards


def boards_text(report: BoardReport, width: int) -> RenderableType:
    """One line for each board."""
    columns = [
        Column("board"),
        Column("what it is", flexible=True, prose=True, wide=100),
        Column("core"),
        Column("clock", "right"),
        Column("flash", "right"),
        Column("RAM", "right"),
    ]
    rows = [(b.name, b.title, b.core, _clock(b.clock_hz), _size(b, "flash"), _size(b, "ram")) for b in report.boards]
    return blocks(
        title(plural(len(report.boards), "board")),
        table(columns, rows, width),
        next_step(command("board", "show", report.boards[0].name)),
    )


def board_text(board: BoardInfo, width: int) -> RenderableType:
    """All that is known of one board."""
    columns = [
        Column("memory"),
        Column("kind"),
        Column("from", "right"),
        Column("size", "right"),
        Column("wait states", "right"),
    ]
    rows = [
        (m.name, m.kind, f"0x{m.origin:08x}", memory(m.size), UNKNOWN if m.wait_states is None else str(m.wait_states))
        for m in board.memories
    ]
    power = UNKNOWN if board.run_ma is None else f"{board.run_ma:g} mA at {board.volt:g} V while it runs"
    pairs: list[tuple[str, RenderableType]] = [
        ("core", f"{board.core}: {board.core_title}, {board.bits} bits"),
        ("features", ", ".join(board.features) or "none"),
        ("clock", _clock(board.clock_hz)),
        ("power", power),
        ("projects", ", ".join(board.frameworks) or "none"),
        ("emulated", "yes" if board.emulated else "no"),
    ]
    return blocks(
        title(board.name, board.title),
        facts(pairs),
        table(columns, rows, width) if rows else None,
        facts([(f"first, for {m.name}", safe(m.setup)) for m in board.memories if m.setup])
        if any(m.setup for m in board.memories)
        else None,
        next_step(command("compile", "MODEL", "-b", board.name)),
    )


def _clock(hertz: int | None) -> str:
    return UNKNOWN if hertz is None else f"{hertz / 1e6:g} MHz"


def _size(board: BoardInfo, kind: str) -> str:
    """All memories of a kind that are there after reset."""
    sizes = [m.size for m in board.memories if m.kind == kind and m.setup is None]
    return memory(sum(sizes)) if sizes else UNKNOWN


# ---------------------------------------------------------------------------------------------- doctor, explain


def doctor_text(report: DoctorReport) -> RenderableType:
    """What is there, what it is for, and how to get what is not."""
    parts = [
        Group(Text(heading, style="bold"), _checks([c for c in report.checks if c.required is required]))
        for heading, required in (("Required", True), ("Optional", False))
    ]
    if report.ok:
        verdict = Text("All that is required is there.", style="bold green")
    else:
        missing = ", ".join(check.name for check in report.checks if check.required and not check.ok)
        verdict = Text(f"Not ready: {missing}.", style="bold red")
    return blocks(*parts, verdict, next_step(command("demo")) if report.ok else None)


def _checks(checks: list[Check]) -> Table:
    grid = Table.grid(padding=(0, GAP, 0, 0))
    grid.add_column(style="dim", no_wrap=True, min_width=_CHECK_WIDTH)
    grid.add_column(no_wrap=True, min_width=_CHECK_WIDTH)
    grid.add_column(overflow="fold")
    for check in checks:
        absent = Text("fails" if check.found else "missing", style="red" if check.required else "yellow")
        found = Text(safe(check.found or "there")) if check.ok else absent
        problem = f"\n{safe(check.found)}" if check.found and not check.ok else ""
        get = f"\n{check.install}" if check.install and not check.ok else ""
        grid.add_row(check.name, found, Text.assemble((check.purpose, "dim"), problem, get))
    return grid


def codes_text(codes: Mapping[str, ErrorCode], width: int) -> RenderableType:
    """All error codes with their titles."""
    columns = [Column("code"), Column("what went wrong", flexible=True, prose=True)]
    rows = [(code, entry.title) for code, entry in sorted(codes.items())]
    return blocks(table(columns, rows, width), next_step(command("explain", "M001")))


def code_text(code: str, entry: ErrorCode) -> RenderableType:
    return blocks(title(code, entry.title), Text(entry.text))
