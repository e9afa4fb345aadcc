"""What ``chipfit compile`` and ``chipfit run`` say of several models."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from chipfit.report.data import CompileReport, CompileSetReport, RunSetReport
from chipfit.report.text import Column, blocks, command, count, facts, kib, memory, next_step, plural, table, title
from chipfit.report.text_compile import kernel_text, memories_text, memory_text
from chipfit.report.text_run import run_text


def compile_set_text(report: CompileSetReport, width: int, *, kernels: bool = False) -> RenderableType:
    """``kernels``: also the kernel of each layer of each model."""
    where = report.folder if report.folder.endswith("/") else f"{report.folder}/"
    head = title(f"Compiled {plural(len(report.models), 'model')} to {where}", f"in {report.seconds:.1f} s")
    return blocks(
        head,
        _models_table(report, width),
        memory_text(report.flash, report.ram),
        memories_text(report.memories) if report.memories else None,
        facts([("shared", _shared(report))], name_width=6),
        *(_kernels(model, width) for model in report.models if kernels),
        next_step(command("run", report.folder)),
    )


def _models_table(report: CompileSetReport, width: int) -> RenderableType:
    columns = [
        Column("model", flexible=True),
        Column("layers", "right"),
        Column("MACs", "right"),
        Column("weights KiB", "right"),
        Column("arena KiB", "right"),
        Column("state KiB", "right"),
    ]
    rows = [
        (m.model, count(len(m.layers)), count(m.macs), kib(m.flash.weights), kib(m.ram.arena), kib(m.ram.state))
        for m in report.models
    ]
    total = (
        "together",
        count(sum(len(m.layers) for m in report.models)),
        count(sum(m.macs for m in report.models)),
        kib(report.flash.weights),
        kib(report.ram.arena),
        kib(report.ram.state),
    )
    return table(columns, rows, width, total)


def _shared(report: CompileSetReport) -> str:
    arena = f"one arena saves {memory(report.arena_saved)}" if report.shares_arena else "each model has its own arena"
    return f"{arena}; equal constants save {memory(report.constants_saved)}"


def _kernels(model: CompileReport, width: int) -> RenderableType:
    return Group(Text(model.model, style="bold"), kernel_text(model.layers, width))


def run_set_text(report: RunSetReport, width: int, *, source: str) -> RenderableType:
    """Each model's run, and the stack of all. ``source``: what the inputs were."""
    return blocks(
        *(run_text(model, width, source=source) for model in report.models),
        facts([("stack", f"{memory(report.stack_bytes)}, of the whole program")]),
    )
