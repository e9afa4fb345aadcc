"""What ``chipfit quantize`` says of several recipes: a table of all, and a report for each where that was asked for."""

from __future__ import annotations

from pathlib import Path

from rich.console import RenderableType

from chipfit.quantization import QuantizationReport, VariantsReport
from chipfit.report.text import UNKNOWN, Column, blocks, command, facts, kib, next_step, plural, share, table, title
from chipfit.report.text_quantize import decibels, quantize_text, samples_head

PLACEHOLDER = "DATA"


def variants_text(report: VariantsReport, width: int, *, source: str, data: Path | None) -> RenderableType:
    """``source``: the float model as the user named it; ``data``: the samples, None: there were none."""
    asked = [one for one in report.variants if one.diagnosis or one.contributions or one.mixed]
    return blocks(
        *(quantize_text(one, width, source=source) for one in asked),
        title(f"{report.model} in {plural(len(report.variants), 'variant')}", samples_head(report.variants[0])),
        _table(report, width),
        facts(_facts(report)),
        next_step(*_next(report, source, PLACEHOLDER if data is None else str(data))),
    )


def _facts(report: VariantsReport) -> list[tuple[str, RenderableType]]:
    """What the table does not say: how figures were obtained, notes, files."""
    lines: list[tuple[str, RenderableType]] = []
    hows = dict.fromkeys(one.how for one in report.variants)
    for how in hows:
        recipes = [one.recipe for one in report.variants if one.how == how]
        lines.append(("figures", how if len(hows) == 1 else f"{', '.join(recipes)}: {how}"))
    lines += [("note", f"{one.recipe}: {note}") for one in report.variants for note in one.notes]
    lines += [("file", one.file) for one in report.variants if one.file is not None]
    return lines


def _table(report: VariantsReport, width: int) -> RenderableType:
    columns = [
        Column("recipe", flexible=True),
        Column("KiB", "right"),
        Column("of float", "right"),
        Column("signal to noise, dB", "right"),
        Column("agreement", "right"),
        Column("seconds", "right"),
    ]
    rows = [("float32", kib(report.float_bytes), share(1, 1), "", "", "")]
    return table(columns, [*rows, *(_row(one, report.float_bytes) for one in report.variants)], width)


def _row(one: QuantizationReport, float_bytes: int) -> tuple[str, ...]:
    result = one.result
    return (
        one.recipe,
        kib(one.file_bytes),
        share(one.file_bytes, float_bytes),
        UNKNOWN if result is None else decibels(result.sqnr),
        UNKNOWN if result is None else f"{100 * result.agreement:.1f}%",
        f"{one.seconds:.1f}",
    )


def _next(report: VariantsReport, source: str, data: str) -> list[str]:
    files = [Path(one.file) for one in report.variants if one.file is not None]
    skipped = max(one.calibrated for one in report.variants)
    rest = ["--skip", str(skipped)] if skipped else []
    return [command("evaluate", source, str(files[0].parent), "--data", data, *rest)] if files else []
