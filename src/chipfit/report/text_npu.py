"""What ``chipfit`` says of models for an NPU."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from chipfit.npu.report import (
    Counted,
    CpuOperator,
    NpuCheckReport,
    NpuCompileReport,
    NpuInspectReport,
    NpuRunReport,
    Placement,
    RoundingDifference,
    StreamInfo,
    TracedOperation,
)
from chipfit.report.text import (
    Column,
    blocks,
    command,
    count,
    facts,
    memory,
    next_step,
    plural,
    safe,
    share,
    table,
    tensors,
    title,
)
from chipfit.report.text_run import output_text

Lines = list[tuple[str, RenderableType]]


def npu_compile_text(report: NpuCompileReport, width: int, *, explain: bool = False) -> RenderableType:
    """``explain``: also what would bring each operator to the NPU."""
    where = report.folder if report.folder.endswith("/") else f"{report.folder}/"
    proof = report.proof
    proven = f"{plural(proof.elements, 'element')} of {plural(proof.samples, 'random sample')} as in the reference"
    return blocks(
        title(f"Compiled {report.model} for {report.accelerator} to {where}", f"in {report.seconds:.1f} s"),
        _places(report, width, explain),
        facts(
            [
                *_figures(report.placement, report.how, report.vela),
                ("proof", f"{proven}, {proof.differing} differ ({proof.how})"),
                *_products(report.products),
                ("rounding", _roundings(report.roundings)),
            ]
        ),
        next_step(command("run", report.folder)),
    )


def npu_check_text(report: NpuCheckReport, width: int, *, source: str) -> RenderableType:
    """``source``: the file as the user named it."""
    fix = report.placement.cpu and not report.changes
    return blocks(
        title(f"{report.model} on {report.board} ({report.accelerator})"),
        _places(report, width, explain=True),
        facts(_figures(report.placement, report.how, report.vela)),
        next_step(command("compile", source, "-b", report.board, *(["--fix"] if fix else []))),
    )


def _places(report: NpuCheckReport | NpuCompileReport, width: int, explain: bool) -> RenderableType:
    """Operators before and after, what was changed, and what is left."""
    before, after = report.before, report.after
    lines = [Text(f"{before.npu} operators on the NPU, {before.cpu} on the processor")]
    if after is not None:
        lines += [
            Text(f"  {safe(c.name)}: {c.text} ({c.before} on the processor, now {c.after})") for c in report.changes
        ]
        lines.append(Text(f"then {after.npu} on the NPU, {after.cpu} on the processor"))
    left = report.placement.left
    return Group(*lines, *([left_table(left, width, explain)] if left else []))


def left_table(left: Sequence[CpuOperator], width: int, explain: bool) -> RenderableType:
    """Operators on the processor; equal ones of equal reasons in one row."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for one in left:
        grouped.setdefault((one.op, "; ".join(one.reasons), one.rewrite), []).append(one.output)
    columns = [
        Column("on the processor", flexible=True),
        Column("output", flexible=True),
        Column("Vela's reason", flexible=True, prose=True),
    ]
    rows = [
        [op if len(names) == 1 else f"{len(names)} x {op}", names[0], reason]
        for (op, reason, _), names in grouped.items()
    ]
    parts: list[RenderableType] = [table(columns, rows, width)]
    if explain:
        rewrites = dict.fromkeys((op, rewrite) for op, _, rewrite in grouped)
        parts += [Text(f"{safe(op)}: {rewrite}", style="dim") for op, rewrite in rewrites]
    return Group(*parts)


def _products(count: int) -> Lines:
    said = f"the reference's multiplier in {count} of the stream, for Vela's in float32"
    return [("products", said)] if count else []


def _figures(placement: Placement, how: str, vela: str) -> Lines:
    per_second = 1000 / placement.milliseconds if placement.cycles else 0
    clock = f"at the {placement.clock_hz / 1e6:,.0f} MHz of Vela's system"
    lines: Lines = [
        ("cycles", f"{placement.cycles:,}  {how}, Vela {vela}"),
        ("time", f"{placement.milliseconds:,.3f} ms, {per_second:,.0f} inferences per second {clock}"),
        ("weights", f"{memory(placement.encoded)} as Vela encodes them, {memory(placement.weights)} before"),
        ("file", f"{memory(placement.flash)}, of it weights, scales and tables {memory(placement.constants)}"),
    ]
    for one in placement.memories:
        place = f" of {memory(one.size)} in '{one.place}'" if one.size is not None else ""
        verdict = "" if one.fits else ": does not fit"
        lines.append((one.name, f"{memory(one.peak)}{place}{verdict}, {one.cycles:,} cycles of accesses"))
    return lines


def _roundings(found: Sequence[RoundingDifference]) -> str:
    if not any(one.differing for one in found):
        return "LiteRT's newer FULLY_CONNECTED gives the same elements"
    parts = [
        f"'{safe(one.output)}' {one.differing:,} of {one.elements:,} elements, by up to {one.largest:g}"
        for one in found
        if one.differing
    ]
    return f"LiteRT's newer FULLY_CONNECTED rounds once: {'; '.join(parts)}"


# ---------------------------------------------------------------------------------------------------- files of Vela


def npu_inspect_text(report: NpuInspectReport, width: int, *, source: str) -> RenderableType:
    return blocks(
        title(f"{report.model}", f"{memory(report.file_bytes)}, a file of Vela"),
        facts([*tensors("input", report.inputs), *tensors("output", report.outputs), *_around(report.cpu)]),
        *(stream_text(one, width) for one in report.streams),
        trace_text(report.trace) if report.trace else None,
        next_step(command("run", source)),
    )


def npu_run_text(report: NpuRunReport, width: int, *, source: str) -> RenderableType:
    """``source``: what the inputs were."""
    each = report.seconds / max(report.samples, 1)
    rounding = "as the stream says" if report.dense == "stream" else "FULLY_CONNECTED once"
    lines: Lines = [
        ("inputs", f"{plural(report.samples, 'sample')}, {source}"),
        ("rounding", rounding if report.dense == "stream" else f"{rounding}; {_roundings(report.roundings)}"),
        ("time", f"{each:.3f} s a sample on this computer, {report.how}"),
    ]
    return blocks(
        title(f"{report.model} on {report.accelerator}"),
        *(stream_text(one, width) for one in report.streams),
        facts([*_around(report.cpu), *lines]),
        trace_text(report.trace) if report.trace else None,
        *(output_text(i, array[0], width) for i, array in zip(report.output_info, report.outputs, strict=True)),
    )


def stream_text(stream: StreamInfo, width: int) -> RenderableType:
    """A command stream, with its operations by kind."""
    total = sum(one.count for one in stream.operations)
    columns = [Column(stream.accelerator), Column("operations", "right"), Column("share", "right")]
    rows = [(one.name, count(one.count), share(one.count, total)) for one in stream.operations]
    fast = f", fast memory {memory(stream.fast)}" if stream.fast else ""
    sizes = f"working memory {memory(stream.memory)}{fast}, constants {memory(stream.constants)}"
    return Group(
        table(columns, rows, width, ("total", count(total), "")), Text(f"{plural(stream.words, 'word')}, {sizes}")
    )


def _around(cpu: Sequence[Counted]) -> Lines:
    if not cpu:
        return []
    return [("CPU", ", ".join(f"{one.count} x {safe(one.name)}" for one in cpu))]


def trace_text(trace: Sequence[TracedOperation]) -> RenderableType:
    """Every operation: what it reads and writes, then its window, scale, activation and weights."""
    lines: list[Text] = []
    for number, one in enumerate(trace):
        lines.append(Text.assemble((f"{number:>4}  ", "dim"), (one.kind, "bold"), f"  (word {one.at})"))
        operands = [one.ifm, one.ifm2] if one.ifm2 else [one.ifm]
        lines += [Text(f"      {safe(text)}") for text in operands]
        wrote = "" if one.low is None else f", elements {one.low}..{one.high}"
        differs = f", {one.differing:,} rounded otherwise" if one.differing else ""
        lines.append(Text(f"      -> {safe(one.ofm)}{wrote}{differs}"))
        lines += [Text(f"      {text}", style="dim") for text in one.details]
    return Group(*lines)
