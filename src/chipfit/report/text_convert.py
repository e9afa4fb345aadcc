"""What ``chipfit convert`` says."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from chipfit.k210 import ConvertReport, RewriteReport
from chipfit.report.text import blocks, command, facts, next_step, plural, safe, title
from chipfit.report.text_check import accelerated, fit_facts, layers_table, reasons


def convert_text(report: ConvertReport, width: int) -> RenderableType:
    noise = "exact" if report.sqnr is None else f"{report.sqnr:.1f} dB"
    lines: list[tuple[str, RenderableType]] = [
        ("file", f"{report.file}, kmodel version {report.kmodel}; what it cannot say is in {report.sidecar}"),
        ("noise", f"outputs {noise} above the noise, simulated against float on {plural(report.measured, 'sample')}"),
        ("samples", f"{report.calibrated:,} to calibrate"),
    ]
    lines += [
        ("input", f"'{safe(one.input)}': pixels 0 to 255 stand for {one.low:g} to {one.high:g}")
        for one in report.images
    ]
    return blocks(
        title(f"{report.model} for the K210", accelerated(report.layers)),
        layers_table(report.layers, width, noise=True),
        reasons(report.layers),
        facts([*lines, *fit_facts(report.fit)]),
        Group(*(Text(f"note: {safe(note)}") for note in report.notes)) if report.notes else None,
        next_step(command("run", report.file)),
    )


def rewrite_text(report: RewriteReport, width: int) -> RenderableType:
    del width
    changed = [Text(f"rewritten: {safe(line)}") for line in report.changed]
    left = [Text(f"left: {safe(line)}", style="dim") for line in report.left]
    return blocks(
        title(f"{report.model} for the K210", f"{plural(len(report.changed), 'layer')} rewritten exactly"),
        Group(*changed, *left) if changed or left else None,
        facts([("file", report.file)]),
        next_step(command("check", report.file)),
    )
