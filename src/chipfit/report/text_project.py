"""What ``chipfit project`` says."""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from chipfit.report.text import blocks, count, facts, memory, next_step, plural, safe, title
from chipfit.report.text_compile import memory_text

if TYPE_CHECKING:
    from chipfit.project import ProjectReport


def project_text(report: ProjectReport) -> RenderableType:
    """Where the project is, what it needs, what was tried, and the commands that build it."""
    where = report.folder if report.folder.endswith("/") else f"{report.folder}/"
    head = title(f"Wrote {plural(len(report.files), 'file')} to {where}", f"{report.title}, {report.board}")
    tried = [("tests", _tests(report))]
    if report.accelerator is not None:
        tried.append(("NPU", f"{report.accelerator}, simulated in these tests"))
    if report.instructions is not None:
        time = f", about {report.milliseconds:.2f} ms" if report.milliseconds is not None else ""
        core = " of the core, beside the NPU's time" if report.accelerator else ""
        tried.append(("run", f"{count(report.instructions)} instructions (emulator){time}{core}"))
    notes = Group(*(Text(f"note: {safe(note)}") for note in report.notes)) if report.notes else None
    return blocks(
        head,
        Group(memory_text(report.flash, report.ram), facts(tried, name_width=5)),
        notes,
        next_step(f"cd {shlex.quote(safe(str(PurePath(report.folder))))}", *map(safe, report.commands)),
    )


def _tests(report: ProjectReport) -> str:
    stored = f"{plural(report.inputs, 'input')} ({memory(report.inputs_bytes)} of flash more), {report.inputs_how}"
    if report.verified is None:
        return f"{stored}: no emulator ran them"
    return f"{stored}: outputs on the emulated board are the reference's, {report.verified}"
