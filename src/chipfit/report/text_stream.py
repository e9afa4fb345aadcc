"""What ``chipfit stream`` says."""

from __future__ import annotations

from rich.console import RenderableType

from chipfit.report.text import (
    Column,
    blocks,
    command,
    count,
    facts,
    memory,
    next_step,
    plural,
    share,
    table,
    tensor,
    tensors,
    title,
)
from chipfit.streaming.report import StreamReport


def stream_text(report: StreamReport, width: int, *, source: str, board: str) -> RenderableType:
    """``source``: the file as the user named it; ``board``: one to offer."""
    head = f"axis {report.axis} is time: a window of {report.window}, {report.step} new in each call"
    return blocks(
        title(f"{report.model} as a stream", head),
        _layers(report, width),
        facts(_facts(report)),
        next_step(*_next(report, source, board)),
    )


def _layers(report: StreamReport, width: int) -> RenderableType:
    columns = [
        Column("#", "right", style="dim"),
        Column("layer", flexible=True),
        Column("op"),
        Column("window", wide=100),
        Column("each call", wide=100),
        Column("state", "right"),
        Column("MACs before", "right"),
        Column("after", "right"),
    ]
    rows = [
        (
            str(i),
            layer.name,
            layer.op,
            layer.window_output,
            layer.output,
            f"{count(layer.state_bytes)} B" if layer.state_bytes else "",
            count(layer.window_macs),
            count(layer.macs),
        )
        for i, layer in enumerate(report.layers)
    ]
    total = ("", "total", "", "", "", f"{count(report.state_bytes)} B", count(report.window_macs), count(report.macs))
    return table(columns, rows, width, total)


def _facts(report: StreamReport) -> list[tuple[str, RenderableType]]:
    less = f" ({share(report.macs, report.window_macs)} of the window's)" if report.window_macs else ""
    lines: list[tuple[str, RenderableType]] = [
        ("input", f"{tensor(report.input)} in each call"),
        *tensors("output", report.outputs),
        ("MACs", f"{count(report.macs)} a call{less}"),
        ("state", f"{count(report.state_bytes)} B in {plural(report.states, 'variable')}"),
        ("warm-up", f"{plural(report.warm_up, 'call')}, in which frames of the input's zero point stand for the past"),
    ]
    if report.file is not None:
        lines.append(("file", f"{report.file}, {memory(report.file_bytes)}"))
    elif report.file_problem is not None:
        lines.append(("file", f"none can be written: {report.file_problem}"))
    return lines


def _next(report: StreamReport, source: str, board: str) -> list[str]:
    if report.file is not None:
        return [command("compile", report.file, "-b", board), command("verify", report.file, "-b", board)]
    if report.file_problem is not None:
        return [command("explain", "O002")]
    return [command("stream", source, "-o", f"{report.streamed}.tflite")]
