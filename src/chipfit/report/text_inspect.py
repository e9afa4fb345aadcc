"""What ``chipfit inspect`` says."""

from __future__ import annotations

from rich.console import RenderableType

from chipfit.report.info import InspectReport
from chipfit.report.text import (
    Column,
    blocks,
    command,
    count,
    facts,
    memory,
    next_step,
    plural,
    table,
    tensors,
    title,
)
from chipfit.report.text_compile import arena_text


def inspect_text(report: InspectReport, width: int, *, source: str, board: str) -> RenderableType:
    """``source``: the file as the user named it; ``board``: one to offer."""
    kind = "float32" if report.is_float else "integer"
    size = f", {memory(report.file_bytes)}" if report.file_bytes is not None else ""
    return blocks(
        title(
            report.model, f"{report.format or 'unknown format'}{size}, {kind}, {plural(len(report.layers), 'layer')}"
        ),
        facts([*tensors("input", report.inputs), *tensors("output", report.outputs)]),
        _layers(report, width),
        facts(_memory(report)),
        next_step(command("compile", source, "-b", board)),
    )


def _layers(report: InspectReport, width: int) -> RenderableType:
    columns = [
        Column("#", "right", style="dim"),
        Column("layer", flexible=True),
        Column("op"),
        Column("output"),
        Column("params", "right"),
        Column("MACs", "right"),
    ]
    rows = [
        (str(i), layer.name, layer.op, layer.output, count(layer.params), count(layer.macs))
        for i, layer in enumerate(report.layers)
    ]
    return table(columns, rows, width, ("", "total", "", "", count(report.params), count(report.macs)))


def _memory(report: InspectReport) -> list[tuple[str, RenderableType]]:
    lines: list[tuple[str, RenderableType]] = [("weights", memory(report.params_bytes))]
    if report.arena is None:
        lines.append(("arena", f"unknown: {report.arena_unknown}"))
    else:
        lines.append(("arena", arena_text(report.arena.bytes, report.arena.lower_bound, report.arena.peak)))
        if report.arena.state:
            lines.append(("state", memory(report.arena.state)))
    lines.append(("passes", "; ".join(report.passes) or "none changed anything"))
    return lines
