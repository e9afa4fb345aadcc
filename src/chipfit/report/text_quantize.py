"""What ``chipfit quantize`` says."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType

from chipfit.quantization import Figures, QuantizationReport
from chipfit.quantize import parse_recipe
from chipfit.report.text import Column, blocks, command, count, facts, memory, next_step, table, tensors, title
from chipfit.report.text_diagnosis import diagnosis_text
from chipfit.report.text_mixed import mixed_text

EXACT = "exact"
_WORST = 8
"""Tensors that are shown: those with the most noise."""


def quantize_text(report: QuantizationReport, width: int, *, source: str, board: str = "") -> RenderableType:
    """``source``: the file as the user named it; ``board``: one to offer, if the next command is to be offered."""
    return blocks(
        title(f"{report.model} as {report.recipe}", samples_head(report)),
        _contributions(report.contributions, width) if report.contributions else None,
        _noise(report, width),
        mixed_text(report.mixed, width) if report.mixed is not None else None,
        facts(_facts(report)),
        next_step(*_next(report, source, board)) if board else None,
    )


def samples_head(report: QuantizationReport) -> str:
    if not report.calibrated:
        return "without samples"
    return f"{count(report.calibrated)} samples to calibrate, {count(report.tested)} to judge"


def decibels(sqnr: float | None) -> str:
    return EXACT if sqnr is None else f"{sqnr:.1f}"


def _contributions(rows: Sequence[Figures], width: int) -> RenderableType:
    columns = [
        Column("recipe", flexible=True),
        Column("signal to noise, dB", "right"),
        Column("agreement", "right"),
        Column("seconds", "right"),
    ]
    body = [(row.recipe, decibels(row.sqnr), f"{100 * row.agreement:.1f}%", f"{row.seconds:.1f}") for row in rows]
    return table(columns, body, width)


def _noise(report: QuantizationReport, width: int) -> RenderableType | None:
    if report.diagnosis is not None:
        return diagnosis_text(report.diagnosis, width)
    return _tensors(report, width) if report.tensors else None


def _tensors(report: QuantizationReport, width: int) -> RenderableType:
    """Those with the most noise, in the order of the model."""
    noisy = sorted((t.sqnr, i) for i, t in enumerate(report.tensors) if t.sqnr is not None)[:_WORST]
    columns = [Column("noisiest tensors", flexible=True), Column("op"), Column("signal to noise, dB", "right")]
    shown = [report.tensors[i] for i in sorted(i for _, i in noisy)]
    return table(columns, [(t.name, t.op, decibels(t.sqnr)) for t in shown], width)


def _facts(report: QuantizationReport) -> list[tuple[str, RenderableType]]:
    result = report.result
    lines: list[tuple[str, RenderableType]] = [*tensors("input", report.inputs), *tensors("output", report.outputs)]
    if result is not None:
        lines += [
            ("noise", f"signal to noise {decibels(result.sqnr)} dB against the float model, before the softmax"),
            ("agrees", f"with the float model's first choice on {100 * result.agreement:.1f}% of the samples"),
        ]
    lines += [
        ("figures", report.how),
        ("time", f"{report.seconds:.1f} s"),
        *(("note", note) for note in report.notes),
    ]
    if report.file is not None:
        lines.append(("file", f"{report.file}, {memory(report.file_bytes)}"))
    return lines


def _next(report: QuantizationReport, source: str, board: str) -> list[str]:
    if report.file is not None:
        return [command("compile", report.file, "-b", board), command("verify", report.file, "-b", board)]
    return [
        command(
            "quantize", source, "--data", "DATA", "-o", f"{report.model}_{parse_recipe(report.recipe).file_word}.tflite"
        )
    ]
